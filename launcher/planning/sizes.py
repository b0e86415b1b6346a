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
    *, recipe: Recipe, model: ModelPlan | None, layout: LayoutPlan | None, batches: tuple[BatchPlan, ...]
) -> tuple[Problem, ...]:
    """All of them; blocks that could not be solved are None. batches: of every stage, in order; one without stages."""
    last = batches[-1] if batches else None
    return (
        *coupling_problems(recipe=recipe, layout=layout, batches=batches),
        *reinforcement_problems(recipe=recipe, batch=last),
        *granularity_problems(recipe=recipe, model=model, batch=last, layout=layout),
    )
