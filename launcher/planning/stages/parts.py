"""Every stage planned on its own: its split, its memory, its learning rate."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from launcher.errors import Problem
from launcher.planning.batch import solve_batch
from launcher.planning.layout import solve_layout
from launcher.planning.memory.block import MemoryBlock, solve_memory
from launcher.planning.memory.budget import Budget, budget_of
from launcher.planning.memory.measured_budget import MeasuredBudget, measured_budget
from launcher.planning.model import solve_model
from launcher.planning.schedule import Timeline
from launcher.planning.solved import Solved
from launcher.planning.stages.rates import stage_scale
from launcher.planning.stages.timeline import Course
from launcher.planning.stages.written import StageRecipe
from launcher.spec.cluster import Cluster
from launcher.spec.marks import Origin
from launcher.spec.measurement import Measurement
from launcher.spec.plan import BatchPlan, LayoutPlan, ModelPlan, StagePlan
from launcher.spec.recipe import Recipe

__all__ = ["StagePart", "solve_parts", "stage_plans"]


@dataclass(frozen=True, slots=True, kw_only=True)
class StagePart:
    """One stage on its ranks, before the run's length is known."""

    stage: StageRecipe
    layout: LayoutPlan
    cluster: Cluster
    batch: BatchPlan
    budget: Budget | MeasuredBudget | None
    learning_rate_scale: float
    origins: Mapping[str, Origin]
    """Of the numbers of `batch`."""


def solve_parts(
    *,
    recipe: Recipe,
    stages: tuple[StageRecipe, ...],
    global_batch_size: int,
    cluster: Cluster,
    layout: LayoutPlan,
    model: ModelPlan | None,
    measurements: Sequence[Measurement],
) -> Solved[tuple[StagePart, ...]]:
    """Micro-batch, accumulation and learning rate of every stage; every stage that does not divide is a problem.

    global_batch_size: sequences per step of the run's own batch.
    """
    parts: list[StagePart] = []
    problems: list[Problem] = []
    budgets: dict[object, Budget | MeasuredBudget | None] = {}
    for stage in stages:
        machines, placed = _placed(recipe, stage, cluster=cluster, layout=layout)
        problems += placed.problems
        if placed.value is None:
            continue
        key = _without_batch(stage)
        if key not in budgets:
            known = {
                "recipe": stage.recipe,
                "layout": placed.value,
                "cluster": machines,
                "model": model if stage.written.model is None else solve_model(stage.recipe).value,
                "measurements": measurements,
            }
            budgets[key] = budget_of(**known) or measured_budget(**known)  # type: ignore[arg-type]
        solved = solve_batch(
            recipe=stage.recipe,
            layout=placed.value,
            global_batch_size=stage.global_batch_size,
            budget=budgets[key],
        )
        problems += [stage.located(problem) for problem in solved.problems]
        if solved.value is not None:
            part = StagePart(
                stage=stage,
                layout=placed.value,
                cluster=machines,
                batch=solved.value,
                budget=budgets[key],
                learning_rate_scale=stage_scale(
                    recipe=recipe, stage=stage, global_batch_size=global_batch_size
                ),
                origins={**stage.origins, **solved.origins},
            )
            parts.append(part)
    whole = len(parts) == len(stages)
    return Solved(value=tuple(parts) if whole else None, problems=tuple(problems))


def stage_plans(
    *,
    parts: tuple[StagePart, ...],
    course: Course,
    timeline: Timeline,
    measurements: Sequence[Measurement],
) -> tuple[tuple[StagePlan, ...], tuple[MemoryBlock, ...]]:
    """The stages that the run reaches, each with its steps, and what memory says of each."""
    plans, blocks = [], []
    total = timeline.total_steps
    for part, leg in zip(parts, course.legs, strict=True):
        if total is not None and leg.steps_before >= total:
            break
        steps = leg.steps
        if total is not None and (steps is None or leg.steps_before + steps > total):
            steps = total - leg.steps_before
        block = solve_memory(
            recipe=part.stage.recipe,
            cluster=part.cluster,
            layout=part.layout,
            batch=part.batch,
            budget=part.budget,
            measurements=measurements,
        )
        blocks.append(replace(block, problems=tuple(part.stage.located(each) for each in block.problems)))
        until = part.stage.written.until
        plans.append(
            StagePlan(
                until=None if until is None else str(until),
                first_step=leg.steps_before + 1,
                steps=steps,
                samples_before=leg.samples_before,
                tokens_before=leg.tokens_before,
                batch=part.batch,
                learning_rate_scale=part.learning_rate_scale,
                memory=block.plan,
            )
        )
    return tuple(plans), tuple(blocks)


def _placed(
    recipe: Recipe, stage: StageRecipe, *, cluster: Cluster, layout: LayoutPlan
) -> tuple[Cluster, Solved[LayoutPlan]]:
    """The machines of a stage and its layout on them: the run's, unless the stage writes its own."""
    written, part = stage.written, recipe.part
    alike = written.parallel is None and written.cluster is None
    if alike if part is None else part.first_stage <= stage.number <= part.last_stage:
        return cluster, Solved(value=layout)
    machines = stage.recipe.cluster if isinstance(stage.recipe.cluster, Cluster) else cluster
    solved = solve_layout(recipe=stage.recipe, cluster=machines, cluster_origin=Origin(origin="recipe"))
    return machines, replace(solved, problems=tuple(stage.located(each) for each in solved.problems))


def _without_batch(stage: StageRecipe) -> object:
    """What a stage's budget depends on: all it writes but its batch and its end."""
    return repr(
        replace(
            stage.written,
            until=None,
            global_batch_size=None,
            global_batch_tokens=None,
            micro_batch_size=None,
            gradient_accumulation_steps=None,
        )
    )
