"""Every block of a plan that can be solved from recipe and machines, whatever is wrong with the others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from launcher.errors import Problem
from launcher.planning.batch import solve_batch, solve_global_batch
from launcher.planning.layout import solve_layout
from launcher.planning.memory.budget import Budget, budget_of
from launcher.planning.memory.measured_budget import MeasuredBudget, measured_budget
from launcher.planning.model import solve_model
from launcher.planning.peak_rate import Rate, solve_rate
from launcher.planning.rescaled import solve_optimizer
from launcher.planning.schedule import Timeline
from launcher.planning.schedulers.owning import solve_learning_rate
from launcher.planning.solved import Solved
from launcher.planning.stages.staging import Staging, solve_staging, staged_timeline
from launcher.spec.cluster import Cluster
from launcher.spec.marks import Origin
from launcher.spec.measurement import Measurement
from launcher.spec.plan import BatchPlan, LayoutPlan, LearningRatePlan, ModelPlan, OptimizerPlan
from launcher.spec.recipe import Recipe

__all__ = ["Parts", "solve"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """Every block that could be solved; an error anywhere refuses the plan, and the rest is still shown."""

    layout: Solved[LayoutPlan]
    model: Solved[ModelPlan]
    budget: Budget | MeasuredBudget | None
    global_batch: Solved[int]
    batch: Solved[BatchPlan]
    rate: Solved[Rate]
    optimizer: Solved[OptimizerPlan]
    timeline: Solved[Timeline]
    learning_rate: Solved[LearningRatePlan]
    staging: Staging
    measurements: Sequence[Measurement] = ()

    @property
    def origins(self) -> dict[str, Origin]:
        batch = (self.global_batch, self.batch, self.layout, self.model)
        blocks = (*batch, self.rate, self.optimizer, self.learning_rate)
        return {path: origin for block in blocks for path, origin in block.origins.items()}

    @property
    def problems(self) -> tuple[Problem, ...]:
        rates = (self.rate, self.optimizer, self.timeline, self.learning_rate)
        before = (*self.global_batch.problems, *self.staging.instead_of(self.batch))
        blocks = (self.model, self.layout, *rates)
        return (
            *before,
            *(problem for block in blocks for problem in block.problems),
            *self.staging.problems,
        )


def solve(
    *, recipe: Recipe, cluster: Cluster, cluster_origin: Origin, measurements: Sequence[Measurement]
) -> Parts:
    """The blocks of a plan; those in whose way an error stands are None."""
    layout = solve_layout(recipe=recipe, cluster=cluster, cluster_origin=cluster_origin)
    size = solve_global_batch(recipe)
    model = solve_model(recipe)
    budget: Budget | MeasuredBudget | None = None
    batch: Solved[BatchPlan] = Solved(value=None)
    rate: Solved[Rate] = Solved(value=None)
    timeline: Solved[Timeline] = Solved(value=None)
    staging = solve_staging(recipe)
    if size.value is not None:
        rate = solve_rate(recipe=recipe, global_batch_size=size.value)
        timeline = staged_timeline(recipe=recipe, staging=staging, global_batch_size=size.value)
        if layout.value is not None:
            known: dict[str, Any] = {
                "recipe": recipe,
                "layout": layout.value,
                "cluster": cluster,
                "model": model.value,
                "measurements": measurements,
            }
            budget = budget_of(**known) or measured_budget(**known)
            batch = solve_batch(
                recipe=recipe, layout=layout.value, global_batch_size=size.value, budget=budget
            )
            staging = staging.on_ranks(global_batch_size=size.value, **known)
    return Parts(
        layout=layout,
        model=_counted(model, budget),
        budget=budget,
        global_batch=size,
        batch=batch,
        rate=rate,
        optimizer=solve_optimizer(
            recipe=recipe,
            rate=rate.value,
            total_samples=timeline.value.total_samples if timeline.value else None,
            global_batch_size=size.value,
        ),
        timeline=timeline,
        learning_rate=solve_learning_rate(
            recipe=recipe,
            layout=layout.value,
            rate=rate.value,
            timeline=timeline.value,
            global_batch_size=size.value,
        ),
        staging=staging,
        measurements=measurements,
    )


def _counted(model: Solved[ModelPlan], budget: Budget | MeasuredBudget | None) -> Solved[ModelPlan]:
    if not isinstance(budget, Budget) or model.value is None:
        return model
    total, active, trained = budget.parameters
    value = replace(
        model.value, num_parameters=total, num_active_parameters=active, num_trainable_parameters=trained
    )
    return replace(model, value=value)
