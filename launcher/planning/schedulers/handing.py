"""How a script is told of the schedule that it builds: the values of `{scheduler_...}`, and whether they reach it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from launcher.errors import Problem
from launcher.planning.schedulers.accelerate import SPLIT
from launcher.spec.rates import CompiledSchedule
from launcher.spec.recipe import Recipe

__all__ = ["SCHEDULER_PLACEHOLDERS", "handed_on", "scheduler_values", "steps_remark"]

SCHEDULER_PLACEHOLDERS = (
    "scheduler_name",
    "scheduler_warmup_steps",
    "scheduler_total_steps",
    "scheduler_arguments",
)
_WARMUP = ("num_warmup_steps", "warmup_num_steps", "warmup_steps")
_TOTAL = ("num_training_steps", "total_num_steps", "max_steps")
_SPECIFIC = ("scheduler_specific_kwargs", "lr_scheduler_kwargs")


def scheduler_values(compiled: CompiledSchedule | None) -> dict[str, str | int | float | None]:
    """Name, lengths in the stack's own steps, and what else it takes as JSON; None where nothing is compiled."""
    if compiled is None:
        return dict.fromkeys(SCHEDULER_PLACEHOLDERS)
    given = {**compiled.arguments, **compiled.handed}
    values = (
        compiled.scheduler,
        _first(given, _WARMUP) or 0,
        _first(given, _TOTAL),
        json.dumps(_rest(given), separators=(",", ":"), sort_keys=True),
    )
    return dict(zip(SCHEDULER_PLACEHOLDERS, values, strict=True))


def handed_on(recipe: Recipe, owner: str) -> bool:
    """Whether the arguments carry all that the script needs to build a schedule that it owns."""
    schedule = recipe.schedule
    own = owner == "script:accelerate"  # its lengths are not optimizer steps
    needed: list[tuple[str, ...]] = [("peak_learning_rate",)]
    if schedule.warmup is not None:
        needed.append(("scheduler_warmup_steps",) if own else ("scheduler_warmup_steps", "warmup_steps"))
    if schedule.decay not in {"constant", "inverse-sqrt"}:
        own = own or schedule.decay_ends is not None
        needed.append(("scheduler_total_steps",) if own else ("scheduler_total_steps", "total_steps"))
    by_keywords = schedule.decay in {"wsd", "polynomial"} or schedule.decay_length is not None
    if by_keywords or (schedule.decay != "constant" and schedule.final_learning_rate_ratio):
        needed.append(("scheduler_arguments",))
    return all(any(_is_used(recipe, name) for name in names) for names in needed)


def steps_remark(recipe: Recipe, owner: str, *, processes: int) -> tuple[Problem, ...]:
    """A warning where a schedule that is to be prepared by Accelerate is told of optimizer steps."""
    if owner != "script:accelerate" or processes == 1 or recipe.schedule.arguments.get(SPLIT):
        return ()
    pairs = (("warmup_steps", "scheduler_warmup_steps"), ("total_steps", "scheduler_total_steps"))
    return tuple(
        Problem(
            code="schedule-steps",
            severity="warning",
            path="launch.args",
            message=f"`{{{plain}}}` counts optimizer steps, and Accelerate advances a prepared schedule once per "
            f"process, {processes} times a step",
            because=("accelerate@1.15.0 scheduler.py:AcceleratedScheduler.step",),
            hint=f"use {{{own}}} for the schedule, unless the script multiplies",
        )
        for plain, own in pairs
        if _is_used(recipe, plain) and not _is_used(recipe, own)
    )


def _is_used(recipe: Recipe, name: str) -> bool:
    return any(f"{{{name}}}" in text for text in (*recipe.launch.args, *recipe.launch.env.values()))


def _first(given: Mapping[str, Any], keys: tuple[str, ...]) -> Any:
    return next((given[key] for key in keys if given.get(key) is not None), None)


def _rest(given: Mapping[str, Any]) -> Mapping[str, Any]:
    specific = _first(given, _SPECIFIC)
    if specific is not None:
        return dict(specific)
    return {key: value for key, value in given.items() if key not in {*_WARMUP, *_TOTAL, *_SPECIFIC}}
