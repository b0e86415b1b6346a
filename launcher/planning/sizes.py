"""Remarks on a plan's sizes: who looks at the split of the batch, what the hardware rounds up, what a minibatch is."""

from __future__ import annotations

from launcher.errors import Problem
from launcher.planning.coupling.remarks import coupling_problems
from launcher.planning.granularity.remarks import granularity_problems
from launcher.planning.reinforcement import reinforcement_problems
from launcher.spec.plan import BatchPlan, LayoutPlan, ModelPlan
from launcher.spec.recipe import Recipe

__all__ = ["size_problems"]


def size_problems(
    *, recipe: Recipe, model: ModelPlan | None, batch: BatchPlan | None, layout: LayoutPlan | None
) -> tuple[Problem, ...]:
    """All of them, of one split; blocks that could not be solved are None."""
    return (
        *coupling_problems(recipe=recipe, batch=batch, layout=layout),
        *reinforcement_problems(recipe=recipe, batch=batch),
        *granularity_problems(recipe=recipe, model=model, batch=batch, layout=layout),
    )
