"""The learning-rate block where another stack than the runtime owns the schedule: its curve, and whether it may."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from launcher.errors import Problem
from launcher.planning.peak_rate import Rate
from launcher.planning.rates import learning_rate_plan
from launcher.planning.schedule import Timeline
from launcher.planning.schedulers.asked import Asked, asked_of
from launcher.planning.schedulers.comparing import Comparison, compare
from launcher.planning.schedulers.compiling import Site, able_owners, compiled_schedule, is_compiled
from launcher.planning.schedulers.drawing import compiled_rate
from launcher.planning.schedulers.given import Given, with_arguments, with_block
from launcher.planning.schedulers.origins import compiled_origins
from launcher.planning.schedulers.places import no_rate_problems, place_problems
from launcher.planning.schedulers.problems import argument_problems, curve_problem, no_such_shape
from launcher.planning.solved import Solved
from launcher.spec.plan import LayoutPlan
from launcher.spec.rates import CompiledSchedule, LearningRatePlan
from launcher.spec.recipe import Recipe

__all__ = ["site_of", "solve_learning_rate"]

_ARGUMENTS = "schedule.arguments"
_BLOCK = "launch.native.deepspeed.scheduler"


def solve_learning_rate(
    *,
    recipe: Recipe,
    layout: LayoutPlan | None,
    rate: Rate | None,
    timeline: Timeline | None,
    global_batch_size: int | None,
) -> Solved[LearningRatePlan]:
    """The block, with the curve that its owner will draw; nothing where one of its parts could not be solved."""
    if rate is None or timeline is None or global_batch_size is None:
        return Solved(value=None, problems=no_rate_problems(recipe))
    planned = learning_rate_plan(
        recipe=recipe, rate=rate, timeline=timeline, global_batch_size=global_batch_size
    )
    if layout is None:
        return Solved(value=planned)
    return _owned(
        recipe=recipe, layout=layout, planned=planned, timeline=timeline, global_batch_size=global_batch_size
    )


def site_of(recipe: Recipe, layout: LayoutPlan) -> Site:
    """Where the schedule is to run."""
    engine = recipe.launch.engine
    by_accelerate = engine == "accelerate" and layout.data_strategy == "zero"
    return Site(
        processes=layout.world_size,
        has_deepspeed=engine == "deepspeed" or by_accelerate,
        by_accelerate=by_accelerate,
        has_runtime=recipe.launch.runtime,
    )


def _owned(
    *,
    recipe: Recipe,
    layout: LayoutPlan,
    planned: LearningRatePlan,
    timeline: Timeline,
    global_batch_size: int,
) -> Solved[LearningRatePlan]:
    owner = planned.owner
    refused = place_problems(recipe=recipe, layout=layout, owner=owner)
    if refused or not is_compiled(owner):
        return Solved(value=planned, problems=refused)
    asked = asked_of(
        planned.schedule,
        global_batch_size=global_batch_size,
        total_steps=timeline.total_steps,
        last_step_samples=timeline.last_step_samples,
        final_ratio=recipe.schedule.final_learning_rate_ratio,
    )
    site = site_of(recipe, layout)
    compiled = compiled_schedule(owner, asked, site)
    if isinstance(compiled, str):
        problem = no_such_shape(owner, compiled, able=able_owners(asked, site))
        return Solved(value=planned, problems=(problem,))
    path, given = _given(recipe, compiled, asked, site)
    if given.wrong:
        return Solved(value=planned, problems=argument_problems(owner, given.wrong, path=path))
    found = compare(given.compiled, asked)
    drawn = replace(given.compiled, largest_difference=found.largest)
    problems = _problems(
        owner=owner, given=given.compiled, compiled=compiled, asked=asked, found=found, path=path, site=site
    )
    origins = compiled_origins(recipe, drawn, asked)
    return Solved(value=_drawn(planned, drawn, asked), problems=problems, origins=origins)


def _given(recipe: Recipe, compiled: CompiledSchedule, asked: Asked, site: Site) -> tuple[str, Given]:
    """What the recipe hands to the stack itself, and where that stands."""
    path, result = "schedule.owner", Given(compiled, [])
    block: Any = recipe.launch.native.deepspeed.get("scheduler")
    if block is not None and compiled.stack == "deepspeed":
        path, result = _BLOCK, with_block(compiled, block, peak=asked.peak)
    if recipe.schedule.arguments and not result.wrong:
        path = _ARGUMENTS
        result = with_arguments(result.compiled, recipe.schedule.arguments, peak=asked.peak, site=site)
    return path, result


def _drawn(planned: LearningRatePlan, compiled: CompiledSchedule, asked: Asked) -> LearningRatePlan:
    """The block with the curve that will be trained, at the steps of the one that was asked for."""
    steps = (-(-samples // asked.global_batch_size) for samples, _ in planned.curve)
    curve = tuple(
        (samples, compiled_rate(compiled, peak=asked.peak, step=step))
        for step, (samples, _) in zip(steps, planned.curve, strict=True)
    )
    return replace(planned, curve=curve, compiled=replace(compiled, asked_curve=planned.curve))


def _problems(
    *,
    owner: str,
    given: CompiledSchedule,
    compiled: CompiledSchedule,
    asked: Asked,
    found: Comparison,
    path: str,
    site: Site,
) -> tuple[Problem, ...]:
    """A refusal where the curve is another one, with what would draw the right one."""
    if found.agrees:
        return ()
    itself = given is not compiled and compare(compiled, asked).agrees
    problem = curve_problem(
        owner,
        given,
        asked,
        found,
        path=path,
        instead=compiled if itself else None,
        able=() if itself else able_owners(asked, site),
    )
    return (problem,)
