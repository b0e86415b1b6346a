"""Where a schedule can be left to another stack at all: engine, stages, clock, shape of the warmup; no curve yet."""

from __future__ import annotations

from launcher.errors import Problem
from launcher.planning.schedulers.compiling import OWNERS, is_compiled
from launcher.planning.schedulers.deepspeed import DEFAULTS
from launcher.planning.schedulers.problems import owner_problem
from launcher.spec.plan import LayoutPlan
from launcher.spec.recipe import Recipe

__all__ = ["no_rate_problems", "place_problems"]

_RUNTIME = "write launch.runtime: true and schedule.owner: runtime"


def place_problems(*, recipe: Recipe, layout: LayoutPlan, owner: str) -> tuple[Problem, ...]:
    """What stands in the way before any curve is drawn."""
    return (
        *_unknown(owner),
        *(_of_engine(recipe, layout, owner) if owner.startswith("engine:") else ()),
        *(_of_run(recipe, owner) if is_compiled(owner) else ()),
        *_of_log(recipe, owner),
        *(() if is_compiled(owner) else _idle_arguments(recipe, owner)),
    )


def no_rate_problems(recipe: Recipe) -> tuple[Problem, ...]:
    """A stack that is to own the learning rate of a recipe that has none."""
    owner, optimizer = recipe.schedule.owner, recipe.optimizer
    if ":" not in owner or (optimizer.learning_rate or optimizer.reference_learning_rate) is not None:
        return ()
    message = f"`schedule.owner: {owner}` has nothing to draw: no learning rate is written"
    return (owner_problem(message, hint="write optimizer.learning_rate"),)


def _unknown(owner: str) -> tuple[Problem, ...]:
    if is_compiled(owner) or ":" not in owner:
        return ()
    kind = owner.partition(":")[0]
    known = [name for name in OWNERS if name.startswith(f"{kind}:")]
    known_before = ("only schedulers whose curve can be known beforehand may own a schedule",)
    because = known_before if kind == "engine" else ()
    message = f"`schedule.owner: {owner}` is not one of {', '.join(known)}"
    return (
        owner_problem(message, *because, hint=f"write one of them, or {_RUNTIME.removeprefix('write ')}"),
    )


def _of_engine(recipe: Recipe, layout: LayoutPlan, owner: str) -> tuple[Problem, ...]:
    """DeepSpeed's own schedulers need DeepSpeed's engine."""
    engine, name = recipe.launch.engine, owner.removeprefix("engine:")
    if name not in DEFAULTS or engine == "deepspeed":
        return ()
    if engine != "accelerate":
        message = f"`schedule.owner: {owner}` is a scheduler of DeepSpeed, and `launch.engine` is {engine}"
        hint = "write schedule.owner: script:transformers, or launch.engine: deepspeed"
        return (owner_problem(message, hint=hint),)
    if layout.data_strategy == "zero":
        return ()
    return (
        owner_problem(
            f"`schedule.owner: {owner}` is a scheduler of DeepSpeed, which Accelerate starts for "
            f"`parallel.data.strategy: zero`, and that is {layout.data_strategy}",
            hint="write schedule.owner: script:accelerate, or parallel.data.strategy: zero",
        ),
    )


def _of_run(recipe: Recipe, owner: str) -> tuple[Problem, ...]:
    """Schedulers of other stacks count optimizer steps, and know of one batch."""
    stages, clock = "stages", "schedule.clock"
    found = []
    if recipe.stages:
        found.append(
            owner_problem(
                f"`schedule.owner: {owner}` counts optimizer steps, and with `stages` a step is not always as many "
                "samples",
                hint=_RUNTIME,
                path=stages,
            )
        )
    if recipe.schedule.clock == "tokens":
        found.append(
            owner_problem(
                f"`schedule.clock: tokens` with `schedule.owner: {owner}`, which counts optimizer steps",
                hint=f"leave {clock} out, or {_RUNTIME}",
                path=clock,
            )
        )
    return tuple(found)


def _of_log(recipe: Recipe, owner: str) -> tuple[Problem, ...]:
    """Only DeepSpeed draws a logarithmic warmup."""
    if recipe.schedule.warmup_shape != "log" or OWNERS.get(owner) == "deepspeed":
        return ()
    message = f"`schedule.warmup_shape: log` is a shape of DeepSpeed's, and `schedule.owner` is {owner}"
    path = "schedule.warmup_shape"
    hint = "write warmup_shape: linear, or schedule.owner: engine:WarmupDecayLR with launch.engine: deepspeed"
    return (owner_problem(message, hint=hint, path=path),)


def _idle_arguments(recipe: Recipe, owner: str) -> tuple[Problem, ...]:
    if not recipe.schedule.arguments:
        return ()
    return (
        Problem(
            code="no-effect",
            severity="warning",
            path="schedule.arguments",
            message=f"`schedule.arguments` changes nothing: `schedule.owner: {owner}` is given none",
            hint="drop schedule.arguments",
        ),
    )
