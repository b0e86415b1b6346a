"""A recipe without what a problem blames, so that planning goes on and finds what else is wrong."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import MISSING, Field, fields, is_dataclass, replace
from fractions import Fraction
from typing import Any

from launcher.errors import Problem
from launcher.planning.layout import axes_of, machines_of
from launcher.planning.model import WIDTH_PER_HEAD
from launcher.spec.cluster import Cluster
from launcher.spec.model import Model
from launcher.spec.recipe import Recipe, Stage
from launcher.units import Amount

__all__ = ["set_aside"]

_SPLIT = ("global_batch_size", "global_batch_tokens", "micro_batch_size", "gradient_accumulation_steps")
_MARK_CODES = (
    "stage-without-end",
    "stages-out-of-order",
    "stage-holds-no-step",
    "stage-ends-inside-a-sequence",
)
_RANKS = ("cluster.nodes", "cluster.devices_per_node", "cluster.devices", "cluster.groups")
_MOST_RANKS = 2**16
_LONG = Amount(number=Fraction(10**9), unit="steps", text="1B steps")
_SPLIT_CODES = (
    "batch-not-divisible",
    "batch-triad-mismatch",
    "batch-tokens-not-whole",
    "batch-larger-than-data",
)


def set_aside(
    recipe: Recipe, problems: Sequence[Problem], *, lost: frozenset[str]
) -> tuple[Recipe, frozenset[str]] | None:
    """The recipe with harmless values where the problems blame what is written, and all paths that are now unknown.

    A key goes first, its whole section where the key alone did not help. None where nothing is left to set aside.
    """
    new, unknown = recipe, set(lost)
    for problem in problems:
        new, gone = _without(new, problem, frozenset(unknown))
        unknown |= gone
    return None if new == recipe and unknown == lost else (new, frozenset(unknown))


def _without(recipe: Recipe, problem: Problem, lost: frozenset[str]) -> tuple[Recipe, set[str]]:
    path = problem.path
    head = path.partition(".")[0]
    if head == "stages":
        return _without_in_stages(recipe, problem, lost)
    if path in _SPLIT or problem.code in _SPLIT_CODES:
        return _with_a_batch(recipe), set(_SPLIT)
    if head in {"hidden_size", "model"}:
        return replace(recipe, model=Model(), hidden_size=WIDTH_PER_HEAD), {"model", "hidden_size"}
    if path == "sequence_length":
        return replace(recipe, sequence_length=1), {"sequence_length"}
    axes = axes_of(recipe.parallel)
    needed = axes.ranks_per_replica * axes.expert
    if problem.code == "parallel-not-dividing" and path == "parallel" and needed <= _MOST_RANKS:
        return _with_ranks(recipe, needed), set(_RANKS)
    if path == "schedule.length" and path not in lost:  # none at all would bring new complaints
        return replace(recipe, schedule=replace(recipe.schedule, length=_LONG)), {path}
    if head == "cluster" and not isinstance(recipe.cluster, Cluster):
        return replace(recipe, cluster=Cluster()), {"cluster"}
    if path in lost:
        path = head
    if not path:
        return recipe, set()
    return _at_default(recipe, path.split(".")), {path}


def _without_in_stages(recipe: Recipe, problem: Problem, lost: frozenset[str]) -> tuple[Recipe, set[str]]:
    """Marks that are in order, or a batch for one stage; all stages go where neither helps."""
    places = range(len(recipe.stages))
    marks = {f"stages.{place}.until" for place in places}
    if problem.path in marks and problem.code in _MARK_CODES and not marks <= lost:
        ends = [_samples(10**9 * (place + 1)) for place in places[:-1]]
        stages = tuple(map(_until, recipe.stages, (*ends, None)))
        return replace(recipe, stages=stages), marks
    number = problem.path.split(".")[1:2]
    sizes = {f"stages.{number[0]}.{key}" for key in _SPLIT} if number else set()
    if problem.code in _SPLIT_CODES and number and number[0].isdecimal() and not sizes <= lost:
        whole = _with_a_batch(recipe)
        split = {key: getattr(whole, key) for key in _SPLIT}
        stages = tuple(
            replace(stage, **split) if place == int(number[0]) else stage
            for place, stage in enumerate(recipe.stages)
        )
        return replace(recipe, stages=stages), sizes
    return replace(recipe, stages=()), {"stages"}


def _until(stage: Stage, end: Amount | None) -> Stage:
    return replace(stage, until=end)


def _samples(number: int) -> Amount:
    return Amount(number=Fraction(number), unit="samples", text=f"{number} samples")


def _with_a_batch(recipe: Recipe) -> Recipe:
    """One sequence for each device: whatever takes ranks away from data parallelism, this divides."""
    nodes, per_node = machines_of(recipe.cluster if isinstance(recipe.cluster, Cluster) else Cluster())
    return replace(
        recipe,
        global_batch_size=nodes * per_node,
        global_batch_tokens=None,
        micro_batch_size="auto",
        gradient_accumulation_steps="auto",
    )


def _with_ranks(recipe: Recipe, count: int) -> Recipe:
    """One node with as many devices as the axes need: who applies them can still be asked."""
    old = recipe.cluster if isinstance(recipe.cluster, Cluster) else Cluster()
    return replace(recipe, cluster=replace(old, nodes=1, devices_per_node=count, devices=None, groups=()))


def _at_default(value: Any, names: Sequence[str]) -> Any:
    """The value with the key that names lead to as if it were not written; a list or a mapping goes as a whole."""
    item = next((item for item in fields(value) if item.name == names[0]), None)
    if item is None:
        return value
    inside = getattr(value, item.name)
    new = _at_default(inside, names[1:]) if names[1:] and is_dataclass(inside) else _default(item)
    return value if new is MISSING else replace(value, **{item.name: new})


def _default(item: Field[Any]) -> Any:
    return item.default if item.default_factory is MISSING else item.default_factory()
