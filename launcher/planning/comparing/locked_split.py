"""A recipe with the micro-batches of its lock where it leaves them to the memory model."""

from __future__ import annotations

from dataclasses import replace

from launcher.spec.lock import Lock
from launcher.spec.plan import RunPlan
from launcher.spec.recipe import Recipe, Stage

__all__ = ["splits_differ", "with_locked_split"]


def with_locked_split(recipe: Recipe, lock: Lock) -> Recipe | None:
    """The recipe with the lock's micro-batches for those that are `auto`; None where none is.

    A better memory model may choose another one, which is no other training: lock and plan are compared at one split.
    """
    if recipe.micro_batch_size != "auto" or recipe.gradient_accumulation_steps != "auto":
        return None
    locked = lock.stages or ()
    if len(locked) != len(recipe.stages):
        return None
    stages = tuple(
        replace(stage, micro_batch_size=known.micro_batch_size) if _is_open(stage) else stage
        for stage, known in zip(recipe.stages, locked, strict=True)
    )
    return replace(recipe, micro_batch_size=lock.micro_batch_size, stages=stages)


def splits_differ(one: RunPlan, other: RunPlan) -> bool:
    """Whether two plans cut a batch, or that of some stage, in other micro-batches."""
    return _splits(one) != _splits(other)


def _is_open(stage: Stage) -> bool:
    both = (stage.micro_batch_size, stage.gradient_accumulation_steps)
    return all(each in (None, "auto") for each in both)


def _splits(plan: RunPlan) -> list[int]:
    return [plan.batch.micro_batch_size, *(stage.batch.micro_batch_size for stage in plan.stages or ())]
