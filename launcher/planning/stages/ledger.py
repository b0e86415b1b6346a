"""Which step takes which samples, through all stages of a run. Planner and runtime read the same ledger."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from typing import NamedTuple

from launcher.planning.learning_rate import learning_rate_at, learning_rate_of_step
from launcher.planning.schedulers.drawing import compiled_rate
from launcher.spec.plan import BatchPlan, RunPlan, SchedulePlan, StagePlan

__all__ = [
    "PlannedStep",
    "at_the_start",
    "clock_count",
    "ends_at",
    "planned_rate",
    "rate_at",
    "stage_with",
    "stages_of",
    "step_after",
    "step_at",
    "tokens_after",
]


class PlannedStep(NamedTuple):
    """One optimizer step as the plan has it."""

    number: int
    """From 1 over the whole run."""
    stage: int
    """Which of stages_of(plan), from 0."""
    size: int
    """Sequences in it, over all ranks; fewer than the global batch in a last one that the data end."""
    batch: BatchPlan
    samples_before: int
    tokens_before: int | None
    is_last: bool
    ends_stage: bool

    @property
    def samples_after(self) -> int:
        """Sequences consumed once the step is done."""
        return self.samples_before + self.size

    @property
    def tokens_after(self) -> int | None:
        """Tokens consumed once the step is done; None where sequences have no length."""
        length = self.batch.sequence_length
        return (
            None if self.tokens_before is None or length is None else self.tokens_before + self.size * length
        )


def stages_of(plan: RunPlan) -> tuple[StagePlan, ...]:
    """The plan's stages; a run that never changes is one stage."""
    if plan.stages:
        return plan.stages
    tokens = None if plan.batch.sequence_length is None else 0
    steps = plan.data.get("total_steps")
    return (
        StagePlan(
            until=None, first_step=1, steps=steps, samples_before=0, tokens_before=tokens, batch=plan.batch
        ),
    )


def at_the_start(plan: RunPlan) -> RunPlan:
    """The plan with the batch of the first stage that it trains: what files and arguments are rendered from."""
    first = plan.part.first_stage - 1 if plan.part else 0
    return replace(plan, batch=stages_of(plan)[first].batch) if plan.stages else plan


def ends_at(plan: RunPlan) -> int | None:
    """Number of the last optimizer step that this job trains: of its part of the run, else of the run."""
    total: int | None = plan.data.get("total_steps")
    return total if plan.part is None else plan.part.last_step


def step_at(plan: RunPlan, number: int) -> PlannedStep | None:
    """The optimizer step of a number, from 1; None beyond the end of the run."""
    total = plan.data.get("total_steps")
    if number < 1 or (total is not None and number > total):
        return None
    stages = stages_of(plan)
    place = max(index for index, stage in enumerate(stages) if stage.first_step <= number)
    stage, is_last = stages[place], number == total
    done, size = number - stage.first_step, stage.batch.global_batch_size
    tokens = None
    if stage.tokens_before is not None and stage.batch.tokens_per_step is not None:
        tokens = stage.tokens_before + done * stage.batch.tokens_per_step
    last_size = plan.data.get("last_step_samples")
    return PlannedStep(
        number=number,
        stage=place,
        size=int(last_size) if is_last and last_size is not None else size,
        batch=stage.batch,
        samples_before=stage.samples_before + done * size,
        tokens_before=tokens,
        is_last=is_last,
        ends_stage=stage.steps is not None and done + 1 == stage.steps,
    )


def step_after(plan: RunPlan, samples: int) -> int:
    """Number of the first step that begins at or past a count of samples; the one after the last at the end."""
    stage = stage_with(plan, samples)
    return stage.first_step + -(-(samples - stage.samples_before) // stage.batch.global_batch_size)


def tokens_after(plan: RunPlan, samples: int) -> int | None:
    """Tokens consumed with a count of samples; None where sequences have no length."""
    stage = stage_with(plan, samples)
    length = stage.batch.sequence_length
    if stage.tokens_before is None or length is None:
        return None
    return stage.tokens_before + (samples - stage.samples_before) * length


def clock_count(schedule: SchedulePlan, *, samples: int, tokens: int | None) -> int | Fraction:
    """What the schedule's clock shows: samples, or tokens in samples of the schedule's sequence length."""
    if schedule.clock == "samples" or schedule.sequence_length is None or tokens is None:
        return samples
    return Fraction(tokens, schedule.sequence_length)


def planned_rate(plan: RunPlan, step: PlannedStep, *, skipped: int = 0) -> float | None:
    """Learning rate that the plan's curve has for a step; None where none is planned.

    skipped: earlier steps that changed nothing, as by overflow; another stack's scheduler does not count them.
    """
    rates = plan.learning_rate
    if rates is None:
        return None
    if rates.compiled is not None:
        return compiled_rate(rates.compiled, peak=rates.peak_learning_rate, step=step.number - skipped)
    schedule = rates.schedule
    before = clock_count(schedule, samples=step.samples_before, tokens=step.tokens_before)
    after = clock_count(schedule, samples=step.samples_after, tokens=step.tokens_after)
    rate = learning_rate_of_step(schedule=schedule, samples_after=after, global_batch_size=after - before)
    return rate * stages_of(plan)[step.stage].learning_rate_scale


def rate_at(plan: RunPlan, samples: int) -> float | None:
    """Learning rate of the plan's curve with a count of samples seen, by the stage that goes on from there."""
    rates = plan.learning_rate
    if rates is None:
        return None
    if rates.compiled is not None:  # of the step that brings the count there
        step = max(1, -(-samples // plan.batch.global_batch_size))
        return compiled_rate(rates.compiled, peak=rates.peak_learning_rate, step=step)
    count = clock_count(rates.schedule, samples=samples, tokens=tokens_after(plan, samples))
    rate = learning_rate_at(schedule=rates.schedule, samples=count)
    return rate * stage_with(plan, samples).learning_rate_scale


def stage_with(plan: RunPlan, samples: int) -> StagePlan:
    """The last stage that begins at or before a count of samples."""
    return max(
        (stage for stage in stages_of(plan) if stage.samples_before <= samples),
        key=lambda stage: stage.first_step,
    )
