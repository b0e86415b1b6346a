"""Locks beside recipes: where they lie, and the plan that a lock is made of or held against."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from launcher.spec.lock import LOCK_SUFFIX
from launcher.spec.shell import quote

if TYPE_CHECKING:
    from launcher.errors import Problem
    from launcher.spec.plan import RunPlan
    from launcher.spec.recipe import Recipe

__all__ = [
    "Planned",
    "cluster_as_kept",
    "lock_path",
    "lock_paths",
    "names_cluster",
    "our_version",
    "plan_to_lock",
    "renamed",
]


class Planned(NamedTuple):
    """A recipe on its machines, and its plan."""

    recipe: Recipe
    plan: RunPlan


def lock_path(recipe: str, cluster: str | None = None) -> str:
    """`NAME.plan.json` beside NAME.yaml; `NAME@CLUSTER.plan.json` for other machines than the recipe's own."""
    at = "" if cluster is None else f"@{Path(cluster).stem}"
    path = Path(recipe)
    return str(path.with_name(f"{path.stem}{at}{LOCK_SUFFIX}"))


def lock_paths(recipe: str) -> tuple[str, ...]:
    """Files that are named like locks of a recipe, its own first."""
    path = Path(recipe)
    try:
        names = sorted(each.name for each in path.parent.iterdir() if each.name.endswith(LOCK_SUFFIX))
    except OSError:
        return ()
    own = f"{path.stem}{LOCK_SUFFIX}"
    others = [name for name in names if name.startswith(f"{path.stem}@")]
    found = [*([own] if own in names else []), *others]
    return tuple(str(path.with_name(name)) for name in found)


def plan_to_lock(recipe: str, *, cluster: str | None) -> Planned:
    """The plan that a lock is of: the same on every machine, with nothing that was measured on one.

    cluster: machines in place of those that the recipe names. Raises LauncherError, also for a recipe without machines.
    """
    from launcher.api import load_recipe, plan
    from launcher.errors import LauncherError, Problem, RecipeError
    from launcher.spec.cluster import Cluster

    override = f"cluster={json.dumps(cluster)}"
    try:
        loaded = load_recipe(recipe, overrides=() if cluster is None else (override,))
    except LauncherError as error:
        raise type(error)(renamed(error.problems, {f"--set {override}": f"--cluster {cluster}"})) from None
    if not isinstance(loaded.cluster, Cluster):
        problem = Problem(
            code="lock-needs-cluster",
            path="cluster",
            where=recipe,
            message="the recipe names no cluster: its plan is another on every machine",
            hint=f"write cluster:, or batchwright lock {quote(recipe)} --cluster NAME",
        )
        raise RecipeError([problem])
    return Planned(loaded, plan(loaded, environ={}, measured=False, traced=False))


def renamed(problems: Sequence[Problem], names: dict[str, str]) -> tuple[Problem, ...]:
    """The same problems with files called otherwise, in their places and in their words."""

    def said(text: str) -> str:
        for old, new in names.items():
            text = text.replace(old, new)
        return text

    return tuple(
        replace(
            each,
            where=said(each.where),
            message=said(each.message),
            hint=said(each.hint),
            because=tuple(map(said, each.because)),
        )
        for each in problems
    )


def cluster_as_kept(cluster: str, *, recipe: str) -> str:
    """What a lock keeps of `--cluster`: a name as it is, a file of this folder as a path from the recipe's."""
    folder = Path(recipe).absolute().parent
    if Path(cluster).is_file() and not (folder / cluster).is_file():
        return Path(os.path.relpath(Path(cluster).absolute(), folder)).as_posix()
    return cluster


def names_cluster(recipe: str) -> bool:
    """Whether a recipe says on which machines; one that cannot be read is refused elsewhere, in words."""
    from launcher.api import load_recipe
    from launcher.errors import LauncherError

    try:
        return load_recipe(recipe).cluster is not None
    except LauncherError:
        return True


def our_version() -> str:
    """Version of batchwright."""
    from importlib.metadata import version

    return version("batchwright")
