"""The stages of a recipe on their way into a plan."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from launcher.errors import Problem
from launcher.planning.memory.block import MemoryBlock
from launcher.planning.schedule import Timeline, solve_timeline
from launcher.planning.solved import Solved
from launcher.planning.stages.curve import staged_curve
from launcher.planning.stages.ending import end_problems
from launcher.planning.stages.origins import stage_origins
from launcher.planning.stages.parts import StagePart, solve_parts, stage_plans
from launcher.planning.stages.remarks import stage_remarks
from launcher.planning.stages.restarting import part_plan
from launcher.planning.stages.timeline import StageClock
from launcher.planning.stages.written import StageRecipe, few, solve_clock, stage_recipes
from launcher.spec.cluster import Cluster
from launcher.spec.measurement import Measurement
from launcher.spec.plan import BatchPlan, LayoutPlan, ModelPlan, RunPlan
from launcher.spec.recipe import Recipe

__all__ = ["Staging", "solve_staging", "staged_timeline"]

_WORST = ("fits", "unknown-memory", "tight", "does-not-fit")


@dataclass(frozen=True, slots=True, kw_only=True)
class Staging:
    """What is known of the stages so far; all empty where a recipe has none."""

    is_whole: bool
    """Whether nothing stands in the way of counting steps, samples and tokens."""
    problems: tuple[Problem, ...] = ()
    stages: tuple[StageRecipe, ...] = ()
    clock: StageClock | None = None
    parts: tuple[StagePart, ...] | None = None

    @property
    def batches(self) -> tuple[BatchPlan, ...]:
        """How every stage splits its global batch."""
        return tuple(part.batch for part in self.parts or ())

    def on_ranks(
        self,
        *,
        recipe: Recipe,
        global_batch_size: int,
        cluster: Cluster,
        layout: LayoutPlan,
        model: ModelPlan | None,
        measurements: Sequence[Measurement],
    ) -> Staging:
        """With every stage's split of its batch."""
        if not self.stages:
            return self
        solved = solve_parts(
            recipe=recipe,
            stages=self.stages,
            global_batch_size=global_batch_size,
            cluster=cluster,
            layout=layout,
            model=model,
            measurements=measurements,
        )
        remarks = (
            ()
            if solved.value is None
            else stage_remarks(recipe=recipe, parts=solved.value, global_batch_size=global_batch_size)
        )
        return replace(self, problems=(*self.problems, *few(solved.problems), *remarks), parts=solved.value)

    def instead_of(self, batch: Solved[BatchPlan]) -> tuple[Problem, ...]:
        """Problems of the run's own batch; only errors where stages have remarks of their own."""
        if not self.stages:
            return batch.problems
        return tuple(problem for problem in batch.problems if problem.severity == "error")

    def carried_into(
        self, plan: RunPlan, *, recipe: Recipe, timeline: Timeline, measurements: Sequence[Measurement]
    ) -> RunPlan:
        """The plan with its stages, the curve through all of them, and the memory of the one that needs most."""
        if self.parts is None or self.clock is None:
            return plan
        stages, blocks = stage_plans(
            parts=self.parts, course=self.clock.course, timeline=timeline, measurements=measurements
        )
        origins = dict(plan.origins)
        for place, (part, leg, stage) in enumerate(
            zip(self.parts, self.clock.course.legs, stages, strict=False)
        ):
            origins |= stage_origins(recipe=recipe, part=part, leg=leg, plan=stage, place=place)
        plan = replace(plan, stages=stages, origins=dict(sorted(origins.items())))
        plan = replace(plan, part=part_plan(recipe, stages=stages))
        trained = plan.part
        plan = _with_memory(plan, blocks[trained.first_stage - 1 : trained.last_stage] if trained else blocks)
        if plan.learning_rate is None:
            return plan
        return replace(plan, learning_rate=replace(plan.learning_rate, curve=staged_curve(plan)))


def staged_timeline(*, recipe: Recipe, staging: Staging, global_batch_size: int) -> Solved[Timeline]:
    """Warmup, decay and length of the run through its stages; of a run without stages, at its one batch."""
    if not staging.is_whole:
        return Solved(value=None)
    solved = solve_timeline(recipe=recipe, global_batch_size=global_batch_size, clock=staging.clock)
    if solved.value is None or staging.clock is None:
        return solved
    found = end_problems(stages=staging.stages, course=staging.clock.course, timeline=solved.value)
    part = recipe.part
    reached = part is None or not found or _reaches(solved.value, staging.clock, part.first_stage)
    if not reached:
        found = tuple(replace(problem, severity="error") for problem in found)
    return replace(solved, problems=(*solved.problems, *found))


def solve_staging(recipe: Recipe) -> Staging:
    """The stages of a recipe, counted through; no ranks yet."""
    if not recipe.stages:
        return Staging(is_whole=True)
    stages = stage_recipes(recipe)
    if stages.value is None:
        return Staging(is_whole=False, problems=stages.problems)
    clock = solve_clock(recipe=recipe, stages=stages.value)
    return Staging(
        is_whole=clock.value is not None,
        problems=(*stages.problems, *clock.problems),
        stages=stages.value,
        clock=clock.value,
    )


def _reaches(timeline: Timeline, clock: StageClock, stage: int) -> bool:
    return timeline.total_steps is None or clock.course.leg_of(timeline.total_steps) + 1 >= stage


def _with_memory(plan: RunPlan, blocks: tuple[MemoryBlock, ...]) -> RunPlan:
    """The verdict of the stage that is worst off, and its memory as the plan's."""
    place = max(range(len(blocks)), key=lambda at: (_WORST.index(blocks[at].verdict), _peak(blocks[at])))
    worst = blocks[place]
    found = few(tuple(problem for block in blocks for problem in block.problems))
    return replace(
        plan,
        verdict=worst.verdict,
        memory=worst.plan,
        problems=(*plan.problems, *found),
        alternatives=worst.find_ways_out(),
    )


def _peak(block: MemoryBlock) -> int:
    return 0 if block.plan is None else block.plan.high_bytes
