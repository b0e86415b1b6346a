"""`batchwright lock`: the plan that was approved, beside its recipe."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from launcher.cli.surroundings import Surroundings

if TYPE_CHECKING:
    from launcher.spec.lock import Lock

__all__ = ["DESCRIPTION", "EXAMPLE", "SUMMARY", "add_arguments", "run"]

SUMMARY = "record what a recipe comes to, for pull requests"
DESCRIPTION = """\
Write NAME.plan.json beside each recipe: the numbers of its plan and both its hashes, in some twenty lines, and say what
moved since the lock that was there. `batchwright check --locked` compares with it. Locks that a recipe has for other
clusters (NAME@CLUSTER.plan.json) are renewed with it. A lock that would say the same is left as it is.
Exit code: 0 when every recipe is locked, 1 when one is refused (problems on stderr); the others are locked."""
EXAMPLE = """\
examples:
  batchwright lock recipes/quickstart/cpu-1x2.yaml
  batchwright lock recipes
  batchwright lock recipes/quickstart/three-numbers.yaml --cluster a100-sxm-40gb-1x8
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of `lock`."""
    parser.add_argument("paths", metavar="PATH", nargs="+", help="recipes, or folders of them")
    parser.add_argument(
        "--cluster",
        metavar="NAME",
        help="lock for these machines instead of the recipe's own, as NAME@CLUSTER.plan.json",
    )


def run(arguments: argparse.Namespace, around: Surroundings) -> int:
    """Writes the locks; 1 where a recipe has none now."""
    from launcher.errors import LauncherError
    from launcher.loading.walking import find_files

    walk = find_files(arguments.paths)
    recipes = [each.path for each in walk.files if each.kind == "recipe"]
    problems = 0
    for problem in walk.problems:
        around.tell(str(problem))
        problems += 1
    counts = {"written": 0, "unchanged": 0}
    for recipe in recipes:
        for cluster in _clusters(recipe, arguments.cluster):
            try:
                counts[_lock(recipe, cluster, around)] += 1
            except LauncherError as error:
                errors = [problem for problem in error.problems if problem.severity == "error"]
                problems += len(errors)
                for problem in errors:
                    around.tell(str(problem))
    around.say(f"{counts['written']} written, {counts['unchanged']} unchanged")
    if problems:
        around.tell(f"{problems} problem{'s' if problems != 1 else ''}")
    return 1 if problems or not recipes else 0


def _clusters(recipe: str, asked: str | None) -> list[str | None]:
    """The machines that a recipe is locked for: those asked for, else its own and those of the locks it has."""
    from launcher.cli.locking import cluster_as_kept, lock_path, lock_paths, names_cluster
    from launcher.loading.locks import LockError, read_lock

    if asked is not None:
        return [cluster_as_kept(asked, recipe=recipe)]
    found: list[str | None] = []
    for path in lock_paths(recipe):
        try:
            lock = read_lock(path)
        except LockError:
            continue
        if lock.cluster is not None and lock_path(recipe, lock.cluster) == path:
            found.append(lock.cluster)
    return [*([] if found and not names_cluster(recipe) else [None]), *found]


def _lock(recipe: str, cluster: str | None, around: Surroundings) -> str:
    """`written` or `unchanged`, and said so. Raises LauncherError."""
    from dataclasses import replace
    from pathlib import Path

    from launcher.cli.locking import lock_path, our_version, plan_to_lock
    from launcher.loading.locks import lock_text
    from launcher.planning.comparing.comparing import compare
    from launcher.planning.comparing.locking import lock_of
    from launcher.planning.comparing.sides import side_of_lock, side_of_plan
    from launcher.reporting.diff_text import diff_lines

    planned = plan_to_lock(recipe, cluster=cluster)
    lock = lock_of(planned.plan, recipe=Path(recipe).name, cluster=cluster, batchwright=our_version())
    path = lock_path(recipe, cluster)
    old = _old(path, lock)
    if old is not None and replace(old, batchwright=lock.batchwright) == lock:
        return "unchanged"
    _write(path, lock_text(lock))
    around.say(f"wrote {path}   {lock.verdict}, semantics {lock.semantics_hash[:12]}")
    if old is not None:
        comparison = compare(
            side_of_lock(old, name=path), side_of_plan(planned.plan, recipe=planned.recipe, name=recipe)
        )
        around.say("\n".join(f"  {line}" for line in diff_lines(comparison)))
    return "written"


def _old(path: str, new: Lock) -> Lock | None:
    """The lock that is there; None where there is none, or one that its owner has spoilt. Raises RecipeError."""
    import os

    from launcher.errors import Problem, RecipeError
    from launcher.loading.locks import LockError, read_lock

    if not os.path.lexists(path):
        return None
    foreign = ""
    try:
        old = read_lock(path)
        if old.recipe == new.recipe and (old.cluster is None) == (new.cluster is None):
            return old
        foreign = f"the lock of {old.recipe}{'' if old.cluster is None else f' for {old.cluster}'}"
    except LockError as error:
        if error.is_ours:
            return None
        if error.code == "lock-too-new":
            raise RecipeError(
                [Problem(code=error.code, where=path, message=str(error), hint=error.hint)]
            ) from None
        foreign = f"something else: {error}"
    raise RecipeError(
        [
            Problem(
                code="not-a-lock",
                where=path,
                message=f"the lock of {new.recipe} would be written here, and the file is {foreign}",
                hint="move it away, or rename the recipe",
            )
        ]
    )


def _write(path: str, text: str) -> None:
    """All of it or nothing. Raises HandoffError."""
    from pathlib import Path

    from launcher.errors import HandoffError, Problem

    new = Path(f"{path}.new")
    try:
        new.write_text(text, encoding="utf-8", newline="\n")
        new.replace(path)
    except OSError as error:
        new.unlink(missing_ok=True)
        message = f"cannot be written: {(error.strerror or str(error)).lower()}"
        raise HandoffError([Problem(code="folder-not-writable", where=path, message=message)]) from None
