"""Ways out of a batch norm over one sample, each tried on the recipe before it is offered."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from launcher.planning.batch import solve_batch, solve_global_batch, written_split
from launcher.planning.changed import Key, as_arguments, changed
from launcher.planning.coupling.batch_norm import ENOUGH, FEWEST, statistics_size
from launcher.planning.coupling.coupled import coupled_names
from launcher.planning.divisors import divisors
from launcher.planning.layout import solve_layout
from launcher.planning.memory.budget import budget_of
from launcher.planning.model import solve_model
from launcher.planning.words import counted
from launcher.spec.cluster import Cluster
from launcher.spec.marks import Origin
from launcher.spec.plan import Alternative, BatchPlan
from launcher.spec.recipe import Recipe

__all__ = ["ways_to_more_samples"]

_KINDS_OF_NORMS = ("resnet", "mlp", "bag")


class _Way(NamedTuple):
    keys: tuple[Key, ...]
    keeps: tuple[str, ...]
    changes: tuple[str, ...]


def ways_to_more_samples(*, recipe: Recipe, cluster: Cluster, batch: BatchPlan) -> tuple[Alternative, ...]:
    """Changes under which batch norm sees two samples or more, least change first; none where it already does."""
    if _samples(recipe, batch) >= FEWEST:
        return ()
    found: dict[str, Alternative] = {}
    for way in _ways(recipe, batch):
        plan = _tried(recipe, cluster, way)
        if plan is not None:
            change = as_arguments(way.keys)
            found.setdefault(
                change, Alternative(change=change, keeps=way.keeps, changes=way.changes, batch=plan)
            )
    return tuple(found.values())


def _samples(recipe: Recipe, batch: BatchPlan) -> int:
    size = statistics_size(
        coupled=coupled_names(recipe),
        micro_batch_size=batch.micro_batch_size,
        data_parallel_size=batch.data_parallel_size,
    )
    return ENOUGH if size is None else size


def _ways(recipe: Recipe, batch: BatchPlan) -> Iterator[_Way]:
    size, ranks = batch.global_batch_size, batch.data_parallel_size
    kept = (f"global batch {size}", counted(ranks, "data-parallel rank"))
    share = batch.slots_per_step // ranks
    for micro in _better_sizes(share):
        keys: tuple[Key, ...] = (("micro_batch_size", micro),)
        if written_split(recipe)[1] is not None:
            keys = (*keys, ("gradient_accumulation_steps", share // micro))
        yield _Way(keys, kept, (f"the model: batch_norm sees {micro} samples",))
    words = tuple(word for word in recipe.model.batch_coupled if word != "batch_norm")
    if ranks > 1:
        yield _Way(
            (("model.batch_coupled", (*words, "sync_batch_norm")),),
            (*kept, f"micro-batch {batch.micro_batch_size}"),
            (
                f"the model: SyncBatchNorm sees {batch.micro_batch_size * ranks} samples",
                "it has to be built so",
            ),
        )
    if recipe.model.kind in _KINDS_OF_NORMS and not recipe.model.batch_coupled:
        yield _Way((("model.norm", "groupnorm"),), kept, ("the model: group norm sees one sample",))
    larger = ENOUGH * ranks
    if recipe.global_batch_size is not None and larger > size:
        keys = (("global_batch_size", larger), *_freed(recipe))
        yield _Way(keys, (counted(ranks, "data-parallel rank"),), (f"global batch {size} -> {larger}",))


def _better_sizes(share: int) -> list[int]:
    """The smallest micro-batch with enough samples, else the largest there is."""
    sizes = [size for size in divisors(share) if size >= FEWEST]
    enough = [size for size in sizes if size >= ENOUGH]
    return enough[:1] or sizes[-1:]


def _freed(recipe: Recipe) -> tuple[Key, ...]:
    names = ("micro_batch_size", "gradient_accumulation_steps")
    given = zip(names, written_split(recipe), strict=True)
    return tuple((name, "auto") for name, value in given if value is not None)


def _tried(recipe: Recipe, cluster: Cluster, way: _Way) -> BatchPlan | None:
    """The batch under the changed keys, None where it does not plan or still sees one sample."""
    other, machines = changed(recipe=recipe, cluster=cluster, keys=way.keys)
    layout = solve_layout(recipe=other, cluster=machines, cluster_origin=Origin(origin="derived")).value
    size, model = solve_global_batch(other).value, solve_model(other).value
    if layout is None or size is None:
        return None
    if layout.device_kind == "cpu" and "sync_batch_norm" in other.model.batch_coupled:
        return None
    budget = budget_of(recipe=other, layout=layout, cluster=machines, model=model)
    batch = solve_batch(recipe=other, layout=layout, global_batch_size=size, budget=budget).value
    return batch if batch is not None and _samples(other, batch) >= FEWEST else None
