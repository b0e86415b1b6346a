"""A recipe and its machines with some keys written otherwise."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from launcher.planning.words import as_yaml
from launcher.spec.cluster import Cluster
from launcher.spec.model import Adapter
from launcher.spec.parallel import Parallel
from launcher.spec.recipe import Recipe

__all__ = ["Key", "as_arguments", "changed"]

Key = tuple[str, Any]
"""Dotted path below the recipe, and its value."""


def changed(*, recipe: Recipe, cluster: Cluster, keys: Iterable[Key]) -> tuple[Recipe, Cluster]:
    """Both with the keys in place; `cluster.` keys go to the machines."""
    for path, value in keys:
        head, _, rest = path.partition(".")
        if head == "cluster":
            cluster = replace(cluster, **{rest: value})
        else:
            recipe = replace(recipe, **{head: _inside(getattr(recipe, head), rest, value)})
    return recipe, cluster


def _inside(section: Any, path: str, value: Any) -> Any:
    if not path:
        return value
    if isinstance(section, str):  # `parallel: auto`
        section = Parallel()
    if section is None:  # the only section that may be absent and be written key by key
        section = Adapter()
    head, _, rest = path.partition(".")
    return replace(section, **{head: _inside(getattr(section, head), rest, value)})


def as_arguments(keys: Iterable[Key]) -> str:
    """The keys as they stand after `--set`, one after the other."""
    return " ".join(f"{path}={as_yaml(value).replace(' ', '')}" for path, value in keys)
