"""The way from stage to stage while it trains: who reduces is told of the new split, and a person of the new stage."""

from __future__ import annotations

from launcher.errors import Problem, WorldError
from launcher.planning.stages.ledger import PlannedStep, ends_at, stages_of, step_after, step_at
from launcher.planning.stages.whole_sequences import longest_length
from launcher.planning.stream import carries_state
from launcher.runtime.reducers import Reducer
from launcher.spec.plan import RunPlan

__all__ = ["Staging", "begins_at", "stage_line", "work_of"]


class Staging:
    """Which stage the run is in."""

    def __init__(self, plan: RunPlan, *, reducer: Reducer) -> None:
        self.count = len(stages_of(plan))
        self._plan, self._reducer = plan, reducer
        self._entered: int | None = None

    def enters(self, step: PlannedStep) -> str | None:
        """Called before every step: the line that says that a stage begins, None within a stage.

        The first step in this process tells the reducer, too: a resumed run may start in any stage.
        """
        if self.count == 1 or step.stage == self._entered:
            return None
        self._reducer.configure(step.batch)
        self._entered = step.stage
        return stage_line(self._plan, step)


def stage_line(plan: RunPlan, step: PlannedStep) -> str:
    """`stage 2 of 3 from sample 1,024: 64 sequences = 8 x 4 x 2`, micro-batch, accumulation and ranks."""
    stages, batch = stages_of(plan), step.batch
    length = ""
    if longest_length(stage.batch.sequence_length for stage in stages) is not None:
        length = f" of {batch.sequence_length:,} tokens"
    split = f"{batch.micro_batch_size} x {batch.gradient_accumulation_steps} x {batch.data_parallel_size}"
    idle = f" - {batch.idle_slots} idle" if batch.idle_slots else ""
    return (
        f"stage {step.stage + 1} of {len(stages)} from sample {step.samples_before:,}: "
        f"{batch.global_batch_size:,} sequences{length} = {split}{idle}"
    )


def work_of(plan: RunPlan, number: int) -> tuple[float, float]:
    """Tokens of an optimizer step and of all behind it; sequences where these have no length.

    In a run without an end nothing is left.
    """
    step, end = step_at(plan, number), step_at(plan, ends_at(plan) or 0)
    if step is None or end is None:
        return 1.0, 0.0
    if step.tokens_after is None or step.tokens_before is None or end.tokens_after is None:
        return float(step.size), float(end.samples_after - step.samples_after)
    return float(step.tokens_after - step.tokens_before), float(end.tokens_after - step.tokens_after)


def begins_at(plan: RunPlan, samples: int) -> int:
    """Number of the optimizer step that begins at a count of samples.

    Raises WorldError[loop-misused] where none does and stages, or the slots of carried state, would begin at another
    sample than the planned one.
    """
    number = step_after(plan, samples)
    before, after = (step_at(plan, each) for each in (number - 1, number))
    anywhere = len(stages_of(plan)) == 1 and not carries_state(plan.model)
    if anywhere or after is None or after.samples_before == samples:
        return number
    near = after.samples_before if before is None else before.samples_before
    message = (
        f"run.steps(start={samples}) is inside of optimizer step {number - 1}, "
        "and stages and carried state begin with whole ones"
    )
    hint = f"start={near} or start={after.samples_before}"
    raise WorldError([Problem(code="loop-misused", message=message, hint=hint)])
