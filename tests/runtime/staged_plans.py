"""Plans whose batch or sequence length changes on the way, built by hand on top of a plan of one stage."""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

from launcher.planning.stages.ledger import step_at
from launcher.spec.plan import BatchPlan, RunPlan, StagePlan

__all__ = ["Leg", "all_steps", "staged"]


class Leg(NamedTuple):
    """Steps of one batch."""

    steps: int
    size: int
    micro: int
    accumulation: int
    length: int | None = 16


def staged(
    plan: RunPlan, legs: list[Leg], *, ranks: int | None = None, num_samples: int | None = None
) -> RunPlan:
    """The plan with these stages, ended by the last of them."""
    ranks = plan.batch.data_parallel_size if ranks is None else ranks
    stages, first, samples, tokens = [], 1, 0, 0
    for place, leg in enumerate(legs):
        batch = batch_of(leg, ranks)
        last = place == len(legs) - 1
        stages.append(
            StagePlan(
                until=None if last else f"{samples + leg.steps * leg.size} samples",
                first_step=first,
                steps=leg.steps,
                samples_before=samples,
                tokens_before=None if leg.length is None else tokens,
                batch=batch,
            )
        )
        first, samples = first + leg.steps, samples + leg.steps * leg.size
        tokens += leg.steps * (batch.tokens_per_step or 0)
    data = {
        **plan.data,
        "total_steps": first - 1,
        "total_samples": samples,
        "last_step_samples": legs[-1].size,
    }
    if num_samples is not None:
        data["num_samples"] = num_samples
    return replace(plan, stages=tuple(stages), batch=stages[-1].batch, data=data)


def batch_of(leg: Leg, ranks: int) -> BatchPlan:
    slots = leg.micro * leg.accumulation * ranks
    assert slots >= leg.size
    return BatchPlan(
        global_batch_size=leg.size,
        micro_batch_size=leg.micro,
        gradient_accumulation_steps=leg.accumulation,
        data_parallel_size=ranks,
        slots_per_step=slots,
        idle_slots=slots - leg.size,
        sequence_length=leg.length,
        tokens_per_step=None if leg.length is None else leg.size * leg.length,
    )


def all_steps(plan: RunPlan):
    """Every planned step of a run that ends."""
    number = 1
    while step := step_at(plan, number):
        yield step
        number += 1
