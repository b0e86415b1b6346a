"""A sample plan changed by hand, for tests of the witness: only the numbers that it looks at are chosen."""

from __future__ import annotations

import json
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

from launcher.spec.plan import LearningRatePlan, RunPlan
from launcher.testing.plans import changed, sample_plans

__all__ = ["plan_by_hand", "write_plan"]

SAMPLE = sample_plans()["cpu-1x2"]


def plan_by_hand(
    *,
    micro: int = 2,
    accumulation: int = 2,
    ranks: int = 2,
    peak: float | None = None,
    warmup_steps: int = 0,
    total_steps: int | None = None,
    sequence_length: int | None = 16,
    runtime: bool = False,
    precision: str = "fp32",
    data: dict[str, Any] | None = None,
    origins: dict[str, Any] | None = None,
) -> RunPlan:
    """A plan of micro x accumulation x ranks sequences per optimizer step on one node."""
    batch = micro * accumulation * ranks
    plan = changed(
        replace(
            SAMPLE, plan_hash="1" * 64, learning_rate=None, data=data or {}, loss={}, origins=origins or {}
        ),
        batch={
            "global_batch_size": batch,
            "micro_batch_size": micro,
            "gradient_accumulation_steps": accumulation,
            "data_parallel_size": ranks,
            "slots_per_step": batch,
            "sequence_length": sequence_length,
            "tokens_per_step": None if sequence_length is None else batch * sequence_length,
        },
        layout={"world_size": ranks, "devices_per_node": ranks},
        precision={"compute": precision},
        launch={"runtime": runtime, "args": (), "env": {}, "workdir": "/"},
    )
    if peak is None:
        return plan
    return replace(
        plan,
        learning_rate=_learning_rate(
            peak=peak, batch=batch, warmup_steps=warmup_steps, total_steps=total_steps
        ),
    )


def _learning_rate(
    *, peak: float, batch: int, warmup_steps: int, total_steps: int | None
) -> LearningRatePlan:
    """Linear warmup from zero, then a cosine to zero when the end is known."""
    rate = SAMPLE.learning_rate
    assert rate is not None
    total = None if total_steps is None else total_steps * batch
    lengths = {"peak_learning_rate": peak, "final_learning_rate": 0.0}
    return replace(
        rate,
        **lengths,
        warmup_samples=warmup_steps * batch,
        warmup_steps=warmup_steps,
        total_steps=total_steps,
        total_samples=total,
        curve=(),
        schedule=replace(
            rate.schedule,
            **lengths,
            warmup_samples=Fraction(warmup_steps * batch),
            decay="constant" if total is None else "cosine",
            total_samples=None if total is None else Fraction(total),
        ),
    )


def write_plan(plan: RunPlan, folder: Path) -> Path:
    """plan.json in the folder."""
    path = folder / "plan.json"
    path.write_text(json.dumps(plan.to_dict(), indent=1), encoding="utf-8")
    return path
