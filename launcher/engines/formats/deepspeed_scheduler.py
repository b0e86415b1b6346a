"""The scheduler of a plan as DeepSpeed builds it, where the recipe leaves the schedule to one of DeepSpeed's own.

Source: deepspeed@0.19.8 runtime/engine.py:_scheduler_from_config, runtime/lr_schedules.py.
"""

from __future__ import annotations

from typing import Any

from launcher.spec.plan import RunPlan

__all__ = ["owned_keys", "scheduler_block"]


def scheduler_block(plan: RunPlan) -> dict[str, Any] | None:
    """Type and every parameter, warmup_type always among them; None where DeepSpeed does not own the schedule.

    Accelerate leaves all of it as it is, whatever a script's DummyScheduler says: only "auto" is filled in.
    Source: accelerate@1.15.0 accelerator.py:Accelerator._prepare_deepspeed,
    utils/dataclasses.py:DeepSpeedPlugin.fill_match.
    """
    compiled = plan.learning_rate.compiled if plan.learning_rate else None
    if compiled is None or compiled.stack != "deepspeed":
        return None
    params = {
        key: value if isinstance(value, str) or key.endswith("_steps") else float(value)
        for key, value in compiled.arguments.items()
    }
    return {"type": compiled.scheduler, "params": params}


def owned_keys(plan: RunPlan, owned: dict[str, str]) -> dict[str, str]:
    """Keys that launch.native may not set; `scheduler` may be, where the plan has read it and drawn its curve."""
    if scheduler_block(plan) is None:
        return owned
    return {key: cure for key, cure in owned.items() if key != "scheduler"}
