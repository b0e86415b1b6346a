"""The files of a repository that are ours to check, each once, however they are reached."""

from __future__ import annotations

import os
import stat
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from launcher.errors import Problem
from launcher.loading.files import LARGEST_BYTES, near_file
from launcher.loading.kinds_of_files import Kind, kind_in_folder, kind_of_named
from launcher.loading.tree import shown_path
from launcher.spec.lock import LOCK_SUFFIX

__all__ = ["Candidate", "Walk", "find_files"]

_YAML = (".yaml", ".yml")


@dataclass(frozen=True, slots=True)
class Candidate:
    """One file to be checked."""

    path: str
    kind: Kind


@dataclass(frozen=True, slots=True)
class Walk:
    """What was found below the paths that somebody named."""

    files: list[Candidate] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)
    """Other YAML files."""
    problems: list[Problem] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Seen:
    """What has been found, and the folders that are walked through anyway."""

    roots: tuple[str, ...]
    names: set[str] = field(default_factory=set)
    folders: set[str] = field(default_factory=set)

    def is_new(self, path: str) -> bool:
        """Whether a file has not been found by this name; a link is a name of its own."""
        name = str(Path(path).absolute())
        is_new = name not in self.names
        self.names.add(name)
        return is_new

    def is_open(self, path: str, *, linked: bool) -> bool:
        """Whether a folder is still to be walked through."""
        real = os.path.realpath(path)
        if real in self.folders or (linked and any(Path(real).is_relative_to(root) for root in self.roots)):
            return False
        self.folders.add(real)
        return True


def find_files(paths: Sequence[str]) -> Walk:
    """Files that are named, and those of folders that look like ours; what is hidden is passed over.

    A link to a folder is followed where it leads out of all that is named; what lies inside is found without it.
    """
    walk, seen = Walk(), _Seen(tuple(os.path.realpath(path) for path in paths if "\0" not in path))
    for path in paths:
        named = os.path.normpath(path) if path else path
        try:
            mode = Path(named).stat().st_mode if path else 0
        except (OSError, ValueError) as error:
            walk.problems.append(_unreadable(named, error))
            continue
        if stat.S_ISDIR(mode):
            _walk_folder(named, walk, seen)
        elif stat.S_ISREG(mode):
            _take_named(named, walk, seen)
        else:
            walk.problems.append(_problem(named, "neither a file nor a folder", "name a recipe or a folder"))
    if not walk.files and not walk.problems:
        walk.problems.append(_nothing(paths, walk.skipped))
    return walk


def _take_named(path: str, walk: Walk, seen: _Seen) -> None:
    """A file that somebody names is checked whatever it looks like; a lock stands for its recipe."""
    if path.endswith(LOCK_SUFFIX):
        stem = path.removesuffix(LOCK_SUFFIX).partition("@")[0]
        recipe = next((stem + ending for ending in _YAML if Path(stem + ending).is_file()), None)
        if recipe is None:
            hint = f"write {shown_path(Path(stem).name)}.yaml, or delete the lock"
            walk.problems.append(_problem(path, "a lock whose recipe is not there", hint))
            return
        path = recipe
    if seen.is_new(path):
        walk.files.append(Candidate(path, kind_of_named(path, _text(path, walk))))


def _walk_folder(folder: str, walk: Walk, seen: _Seen, *, linked: bool = False) -> None:
    if not seen.is_open(folder, linked=linked):
        return
    try:
        inner = sorted(Path(folder).iterdir())
    except OSError as error:
        walk.problems.append(_unreadable(folder, error))
        return
    for path in inner:
        if path.name.startswith("."):
            continue
        if path.is_dir():
            _walk_folder(str(path), walk, seen, linked=linked or path.is_symlink())
        elif path.name.endswith(_YAML) and (path.is_file() or path.is_symlink()) and seen.is_new(str(path)):
            _take_found(str(path), walk)


def _take_found(path: str, walk: Walk) -> None:
    """A YAML file of a folder: ours, somebody else's, or one that cannot be told."""
    before = len(walk.problems)
    text = _text(path, walk)
    if len(walk.problems) > before:
        return
    kind = kind_in_folder(path, text)
    if kind is None:
        walk.skipped.append(path)
    else:
        walk.files.append(Candidate(path, kind))


def _text(path: str, walk: Walk) -> str:
    """What a file says as far as it is text; a problem where it cannot be opened."""
    try:
        with Path(path).open("rb") as file:
            return file.read(LARGEST_BYTES).decode("utf-8", "replace").removeprefix("\ufeff")
    except OSError as error:
        walk.problems.append(_unreadable(path, error))
        return ""


def _unreadable(path: str, error: OSError | ValueError) -> Problem:
    if isinstance(error, FileNotFoundError):
        if Path(path).is_symlink():
            return _problem(path, "a link that leads nowhere", "delete it, or restore what it leads to")
        return _problem(path, "no such file or folder", near_file(path))
    reason = getattr(error, "strerror", None) or str(error)
    return _problem(path, f"cannot be read: {reason.lower()}", "")


def _problem(path: str, message: str, hint: str) -> Problem:
    return Problem(code="file-not-found", where=shown_path(path), message=message, hint=hint)


def _nothing(paths: Sequence[str], skipped: Sequence[str]) -> Problem:
    others = f"; {len(skipped)} other YAML file{'s' if len(skipped) != 1 else ''}" if skipped else ""
    return Problem(
        code="nothing-to-check",
        message=f"no recipe below {', '.join(f'`{shown_path(path)}`' for path in paths)}{others}",
        hint="name the folder that holds recipes; a recipe begins with `schema: 1`",
    )
