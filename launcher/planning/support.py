"""Keys that are understood and not carried out yet: one table, a note in every plan, a refusal before rendering."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from launcher.errors import Problem
from launcher.planning.stages.limits import stage_limits, stage_warnings
from launcher.planning.words import as_yaml, counted
from launcher.spec.cluster import Cluster, Interconnect
from launcher.spec.parallel import Context, Parallel
from launcher.spec.recipe import Recipe

__all__ = ["LATER", "Later", "not_yet_used", "unsupported"]


class Later(NamedTuple):
    """One row: how to see that the key is in use, what a plan leaves out, and whether that would change the job."""

    path: str
    in_use: Callable[[Recipe], Any]
    """The value when it is not at its default, else None."""
    instead: str
    """What this plan does without it."""
    refuses: bool = True
    """Whether rendering without it would start another job than the one asked for."""


def not_yet_used(recipe: Recipe) -> tuple[Problem, ...]:
    """A note for every key of the table that the recipe uses, and what its stages ask for in vain."""
    notes = tuple(
        Problem(
            code="not-yet-used",
            severity="note",
            path=row.path,
            message=f"`{row.path}: {_show(value)}` is not used yet: {row.instead}",
        )
        for row, value in _in_use(recipe)
    )
    return (*notes, *stage_warnings(recipe))


def unsupported(recipe: Recipe) -> tuple[Problem, ...]:
    """Errors for keys that rendering would have to leave out."""
    left_out = tuple(
        Problem(
            code="not-yet-supported",
            path=row.path,
            message=f"`{row.path}: {_show(value)}` is not carried out yet; expected it absent or at its default",
            hint=f"remove {row.path}, or use `batchwright plan`, which leaves it out",
        )
        for row, value in _in_use(recipe)
        if row.refuses
    )
    return (*left_out, *stage_limits(recipe))


def _in_use(recipe: Recipe) -> list[tuple[Later, Any]]:
    values = ((row, row.in_use(recipe)) for row in LATER)
    return [(row, value) for row, value in values if value is not None]


def _show(value: Any) -> str:
    text = as_yaml(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _cluster(recipe: Recipe) -> Cluster:
    return recipe.cluster if isinstance(recipe.cluster, Cluster) else Cluster()


def _parallel(recipe: Recipe) -> Parallel:
    return recipe.parallel if isinstance(recipe.parallel, Parallel) else Parallel()


def _groups(recipe: Recipe) -> str | None:
    groups = _cluster(recipe).groups
    return counted(len(groups), "group") if groups else None


def _node_range(recipe: Recipe) -> str | None:
    nodes = _cluster(recipe).nodes
    return nodes if isinstance(nodes, str) else None


def _stream(recipe: Recipe) -> str | None:
    return "stream" if recipe.data.kind == "stream" and recipe.launch.runtime else None


def _context_algorithm(recipe: Recipe) -> str | None:
    context = _parallel(recipe).context
    if "context" in recipe.launch.script_applies:
        return None
    return context.algorithm if isinstance(context, Context) and context.algorithm != "ring" else None


def _virtual_pipeline(recipe: Recipe) -> int | None:
    size = _parallel(recipe).virtual_pipeline
    return size if size > 1 and "virtual_pipeline" not in recipe.launch.script_applies else None


def _sequence(recipe: Recipe) -> bool | None:
    return (_parallel(recipe).sequence and "sequence" not in recipe.launch.script_applies) or None


def _written(name: str) -> Callable[[Recipe], Any]:
    """In use whenever it is neither None, empty, 0 nor false: a dotted path below the recipe."""

    def value(recipe: Recipe) -> Any:
        at: Any = recipe
        for part in name.split("."):
            at = getattr(at, part, None)
        return at or None

    return value


def _of_cluster(name: str) -> Callable[[Recipe], Any]:
    def value(recipe: Recipe) -> Any:
        return getattr(_cluster(recipe), name)

    return value


def _links(recipe: Recipe) -> Interconnect | None:
    links = _cluster(recipe).interconnect
    return links if links.within_node or links.between_nodes else None


_BARE = "the job starts without it"
_PRICED = "memory counts with it, no engine is told"
_ESTIMATES = "time and cost are not estimated"

LATER: tuple[Later, ...] = (
    Later("data.kind", _stream, "the runtime reads samples by number"),
    Later("cluster.nodes", _node_range, "the plan takes the upper number"),
    Later("cluster.groups", _groups, "the plan takes all their nodes, each with the devices of the smallest"),
    Later("parallel.virtual_pipeline", _virtual_pipeline, _PRICED),
    Later("parallel.sequence", _sequence, _PRICED),
    Later("parallel.context.algorithm", _context_algorithm, _BARE),
    Later("parallel.data.shard", _written("parallel.data.shard"), _PRICED),
    Later(
        "parallel.data.replicate",
        _written("parallel.data.replicate"),
        _PRICED,
    ),
    Later("launch.restarts", _written("launch.restarts"), "a failed job stays failed"),
    # estimates only: the job is the same without them
    Later("cluster.interconnect", _links, _ESTIMATES, refuses=False),
    Later("cluster.time_limit", _of_cluster("time_limit"), _ESTIMATES, refuses=False),
    Later("cluster.price_per_device_hour", _of_cluster("price_per_device_hour"), _ESTIMATES, refuses=False),
    Later("cluster.power_watts", _of_cluster("power_watts"), _ESTIMATES, refuses=False),
    Later("cluster.checkpoint_bandwidth", _of_cluster("checkpoint_bandwidth"), _ESTIMATES, refuses=False),
)
"""Every key whose meaning comes later. evaluation and checkpoint are not here: they are handed to the script."""
