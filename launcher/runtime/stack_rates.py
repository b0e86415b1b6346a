"""The learning rate where another stack owns the schedule: never set here, compared at every step."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

from launcher.errors import Problem, WorldError
from launcher.planning.schedulers.deepspeed import DEFAULTS, LENGTH_AT_LEAST
from launcher.spec.plan import RunPlan

__all__ = ["RELATIVE", "StackRates", "scheduler_differences"]

RELATIVE = 1e-7
"""The plan draws the stack's own formula in doubles, so they agree to 1e-12; a rate kept in fp32 to 6e-8."""


class StackRates:
    """Counts the steps that were skipped, which no stack's scheduler counts."""

    def __init__(self, plan: RunPlan) -> None:
        rates = plan.learning_rate
        self._compiled = None if rates is None else rates.compiled
        self._peak = 0.0 if rates is None else rates.peak_learning_rate
        self.skipped = 0

    def check(self, groups: Sequence[dict[str, Any]], *, planned: float | None, step: int) -> None:
        """Raises WorldError[learning-rate-differs] unless one parameter group has the rate of the stack's curve."""
        if self._compiled is None or planned is None:
            return
        found = [float(group["lr"]) for group in groups]
        if any(_same(rate, planned, peak=self._peak) for rate in found):
            return
        compiled = self._compiled
        given = ", ".join(f"{key}: {value}" for key, value in compiled.arguments.items())
        problem = Problem(
            code="learning-rate-differs",
            message=f"planned learning rate {planned:.6g} at optimizer step {step}, found "
            f"{', '.join(f'{rate:.6g}' for rate in found)}",
            because=(f"planned: {compiled.scheduler} of {compiled.stack} with {given}",),
            hint="build the schedule from {scheduler_name}, {scheduler_warmup_steps} and {scheduler_total_steps}, and "
            "step it once after each run.apply",
        )
        raise WorldError([problem])


def scheduler_differences(plan: RunPlan, scheduler: Any) -> Iterator[str]:
    """The scheduler in DeepSpeed's engine, and each of its lengths, against the one planned there."""
    rates = plan.learning_rate
    if rates is None or rates.owner == "script":
        return
    name = None if scheduler is None else type(scheduler).__name__
    compiled = rates.compiled
    if compiled is None or compiled.stack != "deepspeed":
        # a script may hand the engine a schedule of its own, which is compared at every step
        if name is not None and (rates.owner == "runtime" or name in DEFAULTS):
            who = "the runtime" if rates.owner == "runtime" else "the script"
            yield f"planned learning rate of {who}, found scheduler {name} in DeepSpeed's engine"
        return
    if name != compiled.scheduler:
        yield f"planned scheduler {compiled.scheduler} in DeepSpeed's engine, found {name or 'none'}"
        return
    for key in ("warmup_num_steps", "total_num_steps", "warmup_type"):
        planned = compiled.arguments.get(key)
        if key == "warmup_num_steps":
            planned = max(LENGTH_AT_LEAST, compiled.arguments[key])
        found = getattr(scheduler, key, planned)
        if planned is not None and found != planned:
            yield f"planned {key} {planned}, found {found} in the {name} of DeepSpeed's engine"


def _same(found: float, planned: float, *, peak: float) -> bool:
    return math.isclose(found, planned, rel_tol=RELATIVE, abs_tol=1e-9 * peak)
