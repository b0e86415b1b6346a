"""Recipes against their locks as they are at a git revision: a lock renewed with its recipe hides nothing."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from launcher.cli.lock_judging import Judged, judge, now_of
from launcher.cli.locking import lock_paths, renamed
from launcher.errors import LauncherError, Problem
from launcher.spec.lock import LOCK_SUFFIX
from launcher.spec.shell import quote

if TYPE_CHECKING:
    from launcher.cli.locking import Planned
    from launcher.discovery.revisions import Revision
    from launcher.spec.lock import Lock

__all__ = ["Since", "open_since"]


class Since(NamedTuple):
    """A revision, and a folder for what is read of it."""

    revision: Revision
    folder: str

    def judge(self, recipe: str, *, allow_moved: bool, good: Collection[str] = ()) -> list[Judged]:
        """A recipe as it is now, against each of the locks that it has there.

        good: locks of the recipe as they lie beside it, with which nothing is wrong.
        """
        inner = self.revision.inside(recipe, directory=str(Path.cwd()))
        if inner is None or not self.revision.has(inner):
            message = f"the recipe is new since {self.revision.name}: nothing to compare it with"
            note = Problem(code="not-in-revision", severity="note", where=recipe, message=message)
            return [Judged((note,))]
        names = [name for name in self._locks(inner) if self.revision.has(name)]
        if not names:
            return [self._unlocked(recipe, inner)] if lock_paths(recipe) else []
        return [
            self._judge(name, recipe=recipe, inner=inner, allow_moved=allow_moved, good=good)
            for name in names
        ]

    def deleted(self, paths: Sequence[str]) -> list[tuple[str, Problem]]:
        """Locked recipes of the named folders that are no longer there, each with a note."""
        found = []
        for path in paths:
            folder = self.revision.inside(path, directory=str(Path.cwd())) if Path(path).is_dir() else None
            for name in self.revision.below(folder) if folder is not None else ():
                if not name.endswith(LOCK_SUFFIX):
                    continue
                lock = self._read(name)
                recipe = "" if isinstance(lock, Problem) else str(Path(name).with_name(lock.recipe))
                here = str(Path(path, os.path.relpath(recipe, folder))) if recipe else ""
                if recipe and self.revision.has(recipe) and not Path(here).exists():
                    message = f"the recipe was deleted since {self.revision.name}"
                    note = Problem(code="not-in-revision", severity="note", where=here, message=message)
                    found.append((here, note))
        return list(dict.fromkeys(found))

    def _locks(self, inner: str) -> list[str]:
        """Names of a recipe's locks there."""
        path = Path(inner)
        start = str(path.with_name(path.stem))
        beside = self.revision.below(path.parent.as_posix())
        return [
            name
            for name in beside
            if name.endswith(LOCK_SUFFIX)
            and (name == f"{start}{LOCK_SUFFIX}" or name.startswith(f"{start}@"))
            and Path(name).parent == path.parent
        ]

    def _read(self, name: str) -> Lock | Problem:
        from launcher.loading.locks import LockError, read_lock

        called = f"{self.revision.name}:{name}"
        try:
            return read_lock(self.revision.put_alone(name, into=self.folder))
        except LockError as error:
            hint = "the lock beside the recipe is compared, this one is not"
            return Problem(code=error.code, severity="warning", where=called, message=str(error), hint=hint)

    def _judge(
        self, name: str, *, recipe: str, inner: str, allow_moved: bool, good: Collection[str]
    ) -> Judged:
        lock = self._read(name)
        if isinstance(lock, Problem):
            return Judged((lock,))
        if lock.recipe != Path(recipe).name:
            return Judged()  # of a recipe whose name has an @ in it
        kept = Path(recipe).with_name(Path(name).name)
        if str(kept) in good and self._is(lock, str(kept)):
            return Judged()
        called = f"{self.revision.name}:{name}"
        judged = judge(lock, recipe=recipe, name=called, allow_moved=allow_moved, is_past=True)
        problems = list(judged.problems)
        if not kept.exists():
            problems.append(_lock_deleted(recipe, str(kept), self.revision.name))
        lines = judged.lines
        if judged.has_moved:
            lines = self._whole(lock, recipe=recipe, inner=inner) or lines
        return Judged(tuple(problems), lines, judged.has_moved)

    @staticmethod
    def _is(lock: Lock, path: str) -> bool:
        """Whether a file is that lock."""
        from launcher.loading.locks import read_lock

        return read_lock(path) == lock

    def _whole(self, lock: Lock, *, recipe: str, inner: str) -> tuple[str, ...]:
        """The difference of both recipes, where the one there still means what its lock says."""
        there = self.revision.put(inner, into=self.folder)
        try:
            before, after = now_of(lock, recipe=there), now_of(lock, recipe=recipe)
        except LauncherError:
            return ()
        if before.planned.plan.semantics_hash != lock.semantics_hash:
            return ()
        return self._lines(before.planned, after.planned, recipe)

    def _unlocked(self, recipe: str, inner: str) -> Judged:
        """A recipe that has no lock there: what has moved is said, nobody has approved the old one."""
        from launcher.cli.locking import plan_to_lock

        problem = Problem(
            code="not-locked",
            severity="note",
            where=recipe,
            message=f"the recipe has no lock at {self.revision.name}: nothing was approved there",
        )
        there = self.revision.put(inner, into=self.folder)
        try:
            before, after = plan_to_lock(there, cluster=None), plan_to_lock(recipe, cluster=None)
        except LauncherError as error:
            named = renamed(error.problems, {f"{self.folder}{os.sep}": f"{self.revision.name}:"})
            return Judged((replace(problem, because=tuple(str(each).splitlines()[0] for each in named[:1])),))
        if before.plan.semantics_hash == after.plan.semantics_hash:
            return Judged((problem,))
        return Judged((problem,), self._lines(before, after, recipe))

    def _lines(self, before: Planned, after: Planned, recipe: str) -> tuple[str, ...]:
        from launcher.planning.comparing.comparing import compare
        from launcher.planning.comparing.sides import side_of_plan
        from launcher.reporting.diff_text import diff_lines

        sides = [side_of_plan(each.plan, recipe=each.recipe, name=recipe) for each in (before, after)]
        return tuple(diff_lines(compare(*sides)))


def open_since(rev: str, *, paths: Sequence[str], folder: str, environ: Mapping[str, str]) -> Since:
    """The revision in the repository of the first path. Raises RecipeError where there is none.

    folder: an empty one, for what is read of the revision.
    """
    from launcher.discovery.revisions import open_revision

    first = Path(paths[0]) if paths else Path()
    start = first if first.is_dir() else first.parent
    return Since(open_revision(rev, directory=str(start), environ=environ), str(Path(folder).resolve()))


def _lock_deleted(recipe: str, lock: str, rev: str) -> Problem:
    return Problem(
        code="not-locked",
        severity="warning",
        where=recipe,
        message=f"{lock} was deleted since {rev}; what it approved still counts here",
        hint=f"batchwright lock {quote(recipe)}",
    )
