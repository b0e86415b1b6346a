"""Parts of a run: consecutive stages that one job can train. Between two parts the job ends and is started anew."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any, NamedTuple

from launcher.planning.stages.written import in_place
from launcher.spec.parallel import Parallel
from launcher.spec.parts import PartPlan, RecipePart
from launcher.spec.plan import StagePlan
from launcher.spec.recipe import Recipe

__all__ = ["BY_RESTART", "OF_A_JOB", "Part", "part_of", "part_plan", "parts_of"]

BY_RESTART = (
    "activation_checkpointing",
    "attention",
    "compile",
    "parallel",
    "gradient_noise",
    "cluster",
    "launch",
    "evaluation",
    "checkpoint",
    "resume",
)
"""Keys of a stage that say how it is computed: the same training goes on under others, from its checkpoint."""
OF_A_JOB = (
    "executor",
    "script",
    "module",
    "workdir",
    "runtime",
    "python",
    "container",
    "template",
    "restarts",
)
"""Keys of `launch` that hold for all parts: another script is another training, and one executor starts them all."""


class Part(NamedTuple):
    """Consecutive stages of one process configuration; stages and parts count from 1."""

    number: int
    first_stage: int
    last_stage: int
    changed: tuple[str, ...]
    """Keys in which it differs from the part before."""


def parts_of(recipe: Recipe) -> tuple[Part, ...]:
    """The parts of a run, in their order; one where a single job trains all stages, none without stages."""
    written = {name for stage in recipe.stages for name in BY_RESTART if getattr(stage, name) is not None}
    if recipe.stages and not written:  # as in a ramp of a hundred stages
        return (Part(1, 1, len(recipe.stages), ()),)
    found: list[Part] = []
    before: dict[str, Any] = {}
    for number, stage in enumerate(recipe.stages, start=1):
        here = _configuration(in_place(recipe, stage, f"stages.{number - 1}"))
        changed = tuple(name for name in BY_RESTART if found and here[name] != before[name])
        if found and not changed:
            found[-1] = found[-1]._replace(last_stage=number)
        else:
            found.append(Part(len(found) + 1, number, number, changed))
        before = here
    return tuple(found)


def part_of(recipe: Recipe, *, stage: int) -> Recipe:
    """The recipe of the part that holds a stage, from 1: how it is computed is that stage's, and the run is the whole.

    Stages, marks and schedule stay those of the run, so that steps, samples and learning rate of the part are those of
    the run. The recipe itself where one job trains all of it.
    """
    parts = parts_of(recipe)
    if len(parts) < 2:
        return recipe
    part = next(each for each in parts if each.first_stage <= stage <= each.last_stage)
    place = part.first_stage - 1
    inside = in_place(recipe, recipe.stages[place], f"stages.{place}")
    keys: dict[str, Any] = {name: getattr(inside, name) for name in BY_RESTART}
    marks = {path: mark for path, mark in inside.marks.items() if path.partition(".")[0] in BY_RESTART}
    narrowed = RecipePart(
        number=part.number,
        count=len(parts),
        first_stage=part.first_stage,
        last_stage=part.last_stage,
        whole=recipe,
    )
    return replace(recipe, **keys, marks={**recipe.marks, **marks}, part=narrowed)


def part_plan(recipe: Recipe, *, stages: tuple[StagePlan, ...]) -> PartPlan | None:
    """The steps of the part that a recipe was narrowed to; stages: those that the run reaches."""
    part = recipe.part
    if part is None or part.first_stage > len(stages):
        return None
    last = stages[min(part.last_stage, len(stages)) - 1]
    return PartPlan(
        **{item.name: getattr(part, item.name) for item in fields(part) if item.name != "whole"},
        first_step=stages[part.first_stage - 1].first_step,
        last_step=None if last.steps is None else last.first_step + last.steps - 1,
    )


def _configuration(recipe: Recipe) -> dict[str, Any]:
    """How a stage is computed; what is not written and its default are one."""
    parallel = Parallel() if recipe.parallel == "auto" else recipe.parallel
    return {name: getattr(recipe, name) for name in BY_RESTART} | {"parallel": parallel}
