"""What `check --locked` finds: recipes against their locks, or against the locks of a git revision."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from launcher.spec.lock import LOCK_SUFFIX

if TYPE_CHECKING:
    from launcher.cli.since import Since
    from launcher.errors import Problem

__all__ = ["LockFinding", "locked_findings"]


class LockFinding(NamedTuple):
    """What was found of one recipe and its locks."""

    recipe: str
    """As the person named it, or as it lies below what was named; the lock itself where its recipe is gone."""
    problems: tuple[Problem, ...]
    lines: tuple[str, ...]
    """The difference in words, as `batchwright diff` prints it; empty where there is none."""


def locked_findings(
    paths: Sequence[str],
    *,
    against: str | None,
    allow_moved: bool,
    environ: Mapping[str, str],
) -> tuple[LockFinding, ...]:
    """One finding per recipe below the paths (files or folders), in their order, then locks without a recipe.

    against: a git revision whose locks and recipes are the reference, beside the locks that lie beside the recipes.
    allow_moved: a meaning that has moved is a note, not an error; the difference is told all the same. A recipe that is
    refused is compared with nothing: what is wrong with it is said elsewhere.
    Raises LauncherError where the revision cannot be read.
    """
    from launcher.loading.walking import find_files

    recipes = [each.path for each in find_files(paths).files if each.kind == "recipe"]
    with tempfile.TemporaryDirectory(prefix="batchwright-") as folder:
        since = None
        if against is not None:
            from launcher.cli.since import open_since

            since = open_since(against, paths=paths, folder=folder, environ=environ)
        found = [_finding(recipe, since, allow_moved=allow_moved) for recipe in recipes]
        gone = () if since is None else since.deleted(paths)
    return (
        *found,
        *_orphans(paths),
        *(LockFinding(name, (note,), (f"{name}: {note.message}",)) for name, note in gone),
    )


def _finding(recipe: str, since: Since | None, *, allow_moved: bool) -> LockFinding:
    """One recipe against its own locks, then against those of the revision."""
    from launcher.cli.lock_judging import Judged, judge_file, not_locked
    from launcher.cli.locking import lock_paths

    own = lock_paths(recipe)
    judged = [judge_file(path, recipe=recipe, allow_moved=allow_moved and since is None) for path in own]
    good = [path for path, each in zip(own, judged, strict=True) if not each.problems]
    before: list[Judged] = [] if since is None else since.judge(recipe, allow_moved=allow_moved, good=good)
    said_before = {line for each in before for line in each.lines}
    problems: list[Problem] = [] if own else [not_locked(recipe)]
    lines = [f"{problem.where}: {problem.message}" for each in (*judged, *before) for problem in each.notes]
    for each in (*judged, *before):
        problems += each.problems
        if each not in judged or not said_before.issuperset(each.lines[:1]):
            lines += each.lines
    return LockFinding(recipe, tuple(dict.fromkeys(problems)), tuple(lines))


def _orphans(paths: Sequence[str]) -> Iterator[LockFinding]:
    """Locks of folders whose recipe is gone; files that only have such a name are nobody's."""
    from launcher.errors import Problem
    from launcher.loading.locks import LockError, read_lock

    for path in dict.fromkeys(_locks_below(paths)):
        try:
            recipe = read_lock(path).recipe
        except LockError:
            continue  # beside its recipe it has been found already
        if not Path(path).with_name(recipe).is_file():
            problem = Problem(
                code="lock-without-recipe",
                where=path,
                message=f"the lock of `{recipe}`, which is not there",
                hint=f"delete it, or bring {recipe} back",
            )
            yield LockFinding(path, (problem,), ())


def _locks_below(paths: Sequence[str]) -> Iterator[str]:
    for path in paths:
        root = Path(path)
        if not root.is_dir():
            continue
        for found in sorted(root.rglob(f"*{LOCK_SUFFIX}")):
            hidden = any(part.startswith(".") for part in found.relative_to(root).parts[:-1])
            if found.is_file() and not hidden:
                yield str(found)
