"""Recurrent state that is carried from step to step: each slot of the batch reads on in a stretch of its own.

The state of a slot lies on one rank, in one micro-batch. So batch, micro-batch and ranks cannot change before the state
is set to zero again, where the data begin anew.
"""

from __future__ import annotations

from collections.abc import Iterator

from launcher.errors import Problem
from launcher.planning.schedule import Timeline
from launcher.planning.stream import carries_state
from launcher.planning.words import counted
from launcher.spec.plan import BatchPlan, ModelPlan
from launcher.spec.recipe import Recipe

__all__ = ["lane_problems"]


def lane_problems(
    *, recipe: Recipe, model: ModelPlan, batch: BatchPlan, timeline: Timeline
) -> tuple[Problem, ...]:
    """What carried state does to the order of the samples, as a note; errors where it cannot be carried."""
    if not carries_state(model):
        return ()
    found = [_order(recipe, batch, timeline)]
    if recipe.stages:
        found.append(_stages(recipe))
    if timeline.num_samples is not None and timeline.num_samples % batch.global_batch_size:
        found += _left_over(batch, timeline)
    return tuple(found)


def _order(recipe: Recipe, batch: BatchPlan, timeline: Timeline) -> Problem:
    steps = None if timeline.num_samples is None else timeline.num_samples // batch.global_batch_size
    length = "its share of the data" if steps is None else f"{steps:,} consecutive samples"
    whose = "the runtime" if recipe.launch.runtime else "the script must do so: it"
    return Problem(
        code="state-pins-samples",
        severity="note",
        path="model.carry_state",
        message=f"`model.carry_state: true`: each of the {batch.global_batch_size:,} slots of a step reads "
        f"{length} in their own order ({whose} keeps a slot on one rank and in one micro-batch)",
        because=(
            "state goes from a sample to the one behind it, so samples are not shuffled",
            f"only micro_batch_size {batch.micro_batch_size} on {counted(batch.data_parallel_size, 'rank')} resumes it",
        ),
    )


def _stages(recipe: Recipe) -> Problem:
    return Problem(
        code="state-needs-one-batch",
        path="stages",
        message=f"`model.carry_state: true` and {len(recipe.stages)} stages: state cannot move to another batch",
        because=(
            "the state of a slot belongs to what that slot has read; another batch cuts the data elsewhere",
        ),
        hint="remove stages, or write model.carry_state: false",
    )


def _left_over(batch: BatchPlan, timeline: Timeline) -> Iterator[Problem]:
    """Samples beyond the last whole step of an epoch belong to no slot."""
    assert timeline.num_samples is not None
    size = batch.global_batch_size
    whole = timeline.num_samples // size * size
    rest = timeline.num_samples - whole
    if timeline.ended_by_data:
        yield Problem(
            code="state-needs-whole-epochs",
            path="data.num_samples",
            message=f"an epoch of {timeline.num_samples:,} samples is not a whole number of steps of {size:,}, "
            "and model.carry_state needs one",
            because=(f"{rest:,} samples belong to no slot, and the run is to end where the data end",),
            hint=f"write data.num_samples: {whole}, or schedule.length in steps",
        )
    else:
        yield Problem(
            code="state-needs-whole-epochs",
            severity="warning",
            path="model.carry_state",
            message=f"the last {rest:,} of {timeline.num_samples:,} samples are never read: they belong to no slot",
            because=(f"each of {size:,} slots reads {whole // size:,} consecutive samples of an epoch",),
            hint=f"write data.num_samples: {whole}",
        )
