"""Ways out for a batch that does not divide, best first; each one is tried on the recipe before it is offered."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

from launcher.planning.batch import (
    data_parallel_size,
    solve_batch,
    solve_global_batch,
    split_batch,
    written_split,
)
from launcher.planning.changed import as_arguments, changed
from launcher.planning.coupling.coupled import coupled_names
from launcher.planning.coupling.ways import change_of_model, without_kept_model
from launcher.planning.divisors import divisors
from launcher.planning.layout import axes_of, solve_layout
from launcher.planning.memory.budget import budget_of
from launcher.planning.model import sequence_tokens, solve_model
from launcher.planning.scaling import rule_of
from launcher.planning.schedule import solve_timeline
from launcher.planning.words import counted
from launcher.spec.cluster import Cluster
from launcher.spec.marks import Origin
from launcher.spec.plan import Alternative, BatchPlan, LayoutPlan
from launcher.spec.recipe import Recipe
from launcher.units import Amount

__all__ = ["find_alternatives"]

_MOST_WORLDS = 2
_FEWEST = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class _Way:
    """Keys to write (path, value), and what that keeps and alters in words."""

    keys: tuple[tuple[str, Any], ...]
    keeps: tuple[str, ...]
    changes: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Asked:
    """The request that has no plan."""

    recipe: Recipe
    cluster: Cluster
    layout: LayoutPlan
    batch: int

    @property
    def ranks(self) -> int:
        return data_parallel_size(self.layout)


def find_alternatives(
    *, recipe: Recipe, cluster: Cluster, layout: LayoutPlan, global_batch_size: int
) -> tuple[Alternative, ...]:
    """Changes under which the batch divides: other splits, other batches, idle slots, fewer ranks, in this order.

    Where these are fewer than three, the same again with written micro-batch and accumulation given up.
    """
    asked = _Asked(recipe=recipe, cluster=cluster, layout=layout, batch=global_batch_size)
    ways = [*_other_splits(asked), *_ways_of_batch_and_ranks(asked)]
    found = _offered(asked, ways)
    if len(found) < _FEWEST and written_split(recipe) != (None, None):
        free = replace(recipe, micro_batch_size="auto", gradient_accumulation_steps="auto")
        nothing_else = _Way(keys=(), keeps=_kept(asked), changes=())
        more = (nothing_else, *_ways_of_batch_and_ranks(replace(asked, recipe=free)))
        found = _offered(asked, (*ways, *(_also_freeing(asked, way) for way in more)))
    return tuple(found.values())


def _ways_of_batch_and_ranks(asked: _Asked) -> Iterator[_Way]:
    yield from _other_batches(asked)
    yield from _idle_slots(asked)
    yield from _fewer_ranks(asked)


def _also_freeing(asked: _Asked, way: _Way) -> _Way:
    """The way with the written split given up as well."""
    names = ("micro_batch_size", "gradient_accumulation_steps")
    given = [(n, v) for n, v in zip(names, written_split(asked.recipe), strict=True) if v is not None]
    return replace(
        way,
        keys=(*way.keys, *((name, "auto") for name, _ in given)),
        changes=(*way.changes, *(f"{name} {value} -> auto" for name, value in given)),
    )


def _offered(asked: _Asked, ways: Iterable[_Way]) -> dict[str, Alternative]:
    """Those of the ways that lead to a plan, with that plan's batch, by what is to be written; the first of equals."""
    found: dict[str, Alternative] = {}
    for way in ways:
        plan = _tried(asked, way)
        if plan is not None:
            change, changes, keeps = as_arguments(way.keys), (*way.changes, *_idle_words(plan)), way.keeps
            if model := _change_of_model(asked, plan):
                changes, keeps = (*changes, model), without_kept_model(keeps)
            found.setdefault(change, Alternative(change=change, keeps=keeps, changes=changes, batch=plan))
    return found


def _change_of_model(asked: _Asked, plan: BatchPlan) -> str:
    """What the way makes of a batch-coupled model; a micro-batch that nobody wrote is no other one."""
    micro = written_split(asked.recipe)[0] or plan.micro_batch_size
    before = replace(plan, micro_batch_size=micro, data_parallel_size=asked.ranks, idle_slots=0)
    return change_of_model(coupled=coupled_names(asked.recipe), before=before, after=plan)


def _kept(asked: _Asked) -> tuple[str, str]:
    return f"global batch {asked.batch}", counted(asked.ranks, "data-parallel rank")


def _tried(asked: _Asked, way: _Way) -> BatchPlan | None:
    """The batch under the changed keys, None where that does not plan either."""
    recipe, cluster = changed(recipe=asked.recipe, cluster=asked.cluster, keys=way.keys)
    layout = solve_layout(recipe=recipe, cluster=cluster, cluster_origin=Origin(origin="derived")).value
    size = solve_global_batch(recipe).value
    assert layout is not None
    assert size is not None
    if any(problem.code == "batch-larger-than-data" for problem in _lengths(recipe, size)):
        return None
    budget = budget_of(recipe=recipe, layout=layout, cluster=cluster, model=solve_model(recipe).value)
    return solve_batch(recipe=recipe, layout=layout, global_batch_size=size, budget=budget).value


def _lengths(recipe: Recipe, size: int) -> tuple[Any, ...]:
    return solve_timeline(recipe=recipe, global_batch_size=size).problems


def _other_splits(asked: _Asked) -> Iterator[_Way]:
    """Micro-batch or accumulation nearest to what was written, where the share of a rank is whole."""
    micro, accumulation = written_split(asked.recipe)
    share = Fraction(asked.batch, asked.ranks)
    if share.denominator != 1:
        return
    kept = _kept(asked)
    if micro is not None and accumulation is not None:
        yield from _both_split(share=int(share), micro=micro, accumulation=accumulation, kept=kept)
        return
    for path, wanted in (("micro_batch_size", micro), ("gradient_accumulation_steps", accumulation)):
        for near in _nearest_divisors(int(share), wanted):
            yield _Way(keys=((path, near),), keeps=kept, changes=(f"{path} {wanted} -> {near}",))


def _both_split(*, share: int, micro: int, accumulation: int, kept: tuple[str, ...]) -> Iterator[_Way]:
    """One of the two written numbers changed where that suffices, else both."""
    micro_path, accumulation_path = "micro_batch_size", "gradient_accumulation_steps"
    for path, fixed, written in ((accumulation_path, micro, accumulation), (micro_path, accumulation, micro)):
        if share % fixed == 0:
            value = share // fixed
            yield _Way(keys=((path, value),), keeps=kept, changes=(f"{path} {written} -> {value}",))
    for near in _nearest_divisors(share, micro):
        rest = share // near
        if rest != accumulation:
            yield _Way(
                keys=((micro_path, near), (accumulation_path, rest)),
                keeps=kept,
                changes=(f"{micro_path} {micro} -> {near}", f"{accumulation_path} {accumulation} -> {rest}"),
            )


def _nearest_divisors(number: int, wanted: int | None) -> tuple[int, ...]:
    """The divisors of a number next to the one that was wanted, nearer ratio first."""
    if wanted is None:
        return ()
    found = divisors(number)
    below = [d for d in found if d < wanted][-1:]
    above = [d for d in found if d > wanted][:1]
    return tuple(sorted((*below, *above), key=lambda d: max(Fraction(d, wanted), Fraction(wanted, d))))


def _other_batches(asked: _Asked) -> Iterator[_Way]:
    """The batches next to the one that was wanted, nearer first; smaller ones also fit the data."""
    micro, accumulation = written_split(asked.recipe)
    unit = asked.ranks * (micro or 1) * (accumulation or 1)
    below = asked.batch // unit * unit
    sizes = {unit} if micro is not None and accumulation is not None else {below, below + unit}
    length = sequence_tokens(asked.recipe)
    for size in sorted(sizes - {0, asked.batch}, key=lambda size: (abs(size - asked.batch), size)):
        change = 100 * (size - asked.batch) / asked.batch
        words = [f"global batch {asked.batch} -> {size} ({change:+.1f} %)"]
        if asked.recipe.optimizer.reference_learning_rate is not None and rule_of(asked.recipe) != "none":
            words.append(f"the learning rate follows ({rule_of(asked.recipe)} rule)")
        yield _Way(
            keys=(_batch_key(asked.recipe, size, length),),
            keeps=(counted(asked.ranks, "data-parallel rank"), *_kept_split(micro, accumulation)),
            changes=tuple(words),
        )


def _batch_key(recipe: Recipe, size: int, length: int | None) -> tuple[str, Any]:
    if recipe.global_batch_size is not None or length is None:
        return "global_batch_size", size
    tokens = size * length
    return "global_batch_tokens", Amount(number=Fraction(tokens), unit="", text=str(tokens))


def _kept_split(micro: int | None, accumulation: int | None) -> tuple[str, ...]:
    named = (("micro_batch_size", micro), ("gradient_accumulation_steps", accumulation))
    return tuple(f"{name} {value}" for name, value in named if value is not None)


def _idle_slots(asked: _Asked) -> Iterator[_Way]:
    """Slots that stay empty; a written accumulation gives way where it would leave a whole micro step empty."""
    micro, accumulation = written_split(asked.recipe)
    kept = [*_kept(asked), "the exact gradient"]
    keys: list[tuple[str, Any]] = []
    changes: list[str] = []
    if not asked.recipe.launch.runtime:
        keys.append(("launch.runtime", True))
        changes.append("the script uses launcher.runtime")
    if micro is not None and accumulation is not None:
        enough = -(-asked.batch // (asked.ranks * micro))
        if enough != accumulation:
            keys.append(("gradient_accumulation_steps", enough))
            changes.append(f"gradient_accumulation_steps {accumulation} -> {enough}")
            accumulation = None
    kept += _kept_split(micro, accumulation)
    yield _Way(keys=tuple(keys), keeps=tuple(kept), changes=tuple(changes))


def _idle_words(plan: BatchPlan) -> tuple[str, ...]:
    if plan.idle_slots == 0:
        return ()
    share = 100 * plan.idle_slots / plan.slots_per_step
    return (f"{plan.idle_slots} of {plan.slots_per_step} slots idle ({share:.1f} % of the work)",)


def _fewer_ranks(asked: _Asked) -> Iterator[_Way]:
    """The largest smaller numbers of ranks that the batch divides over."""
    if asked.cluster.groups:
        return
    micro, accumulation = written_split(asked.recipe)
    axes, found = axes_of(asked.recipe.parallel), 0
    for ranks in range(asked.ranks - 1, 0, -1):
        if ranks * axes.context % axes.expert:
            continue
        split = split_batch(
            global_batch_size=asked.batch,
            data_parallel_size=ranks,
            micro_batch_size=micro,
            gradient_accumulation_steps=accumulation,
        )
        keys = _machine_keys(asked, ranks * axes.ranks_per_replica) if split is not None else None
        if keys is not None:
            found += 1
            world = ranks * axes.ranks_per_replica
            yield _Way(
                keys=keys,
                keeps=(f"global batch {asked.batch}", *_kept_split(micro, accumulation)),
                changes=(f"processes {asked.layout.world_size} -> {world}",),
            )
        if found == _MOST_WORLDS:
            return


def _machine_keys(asked: _Asked, world: int) -> tuple[tuple[str, Any], ...] | None:
    """Keys that leave `world` processes: fewer nodes where that suffices, else fewer devices of each."""
    nodes, per_node = asked.layout.num_nodes, asked.layout.devices_per_node
    sizes = (size for size in range(per_node, 0, -1) if world % size == 0 and world // size <= nodes)
    size = next(sizes, None)
    if size is None:
        return None
    keys: list[tuple[str, Any]] = []
    if world // size != nodes:
        keys.append(("cluster.nodes", world // size))
    if size != per_node and asked.cluster.devices is not None:
        keys.append(("cluster.devices", asked.cluster.devices[:size]))
        if asked.cluster.devices_per_node is not None:
            keys.append(("cluster.devices_per_node", size))
    elif size != per_node:
        keys.append(("cluster.devices_per_node", size))
    if (
        asked.recipe.cluster is None
    ):  # a written cluster stands for itself, so it has to name this machine's device
        keys.append(("cluster.device", asked.layout.device))
    return tuple(keys)
