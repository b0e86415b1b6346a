"""Files as they were at a git revision: what a recipe there needs, put into a folder. Git is asked, never changed."""

from __future__ import annotations

import os
import posixpath
import re
import subprocess
from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path

from launcher.errors import Problem, RecipeError

__all__ = ["Revision", "open_revision", "split_revision"]

_LARGEST = 2**20
"""Bytes of a file that is put beside a recipe; recipes, clusters and configurations have a few thousand."""
_HOPS = 10
_BESIDE = ("clusters", "recipes/clusters", "catalog", "recipes/catalog")
"""Folders that a recipe finds by name, beside it and beside every folder above it."""
_OF_A_HOOK = ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_PREFIX", "GIT_OBJECT_DIRECTORY")
_SEPARATORS = re.compile(r"[\s,\[\]{}]+")
_QUOTED = re.compile(r"""\"([^"]*)\"|'([^']*)'""")
_LINK = "120000"


@dataclass(frozen=True, slots=True)
class _Blob:
    """One tracked file."""

    mode: str
    name: str
    size: int


@dataclass(frozen=True, slots=True)
class Revision:
    """One commit of a repository, as somebody named it."""

    name: str
    commit: str
    top: str | None
    """Absolute folder of the working tree; None of a bare repository."""
    _files: Mapping[str, _Blob]
    _paths: Sequence[str]
    """The same, sorted."""
    _git: _Git

    def find(self, path: str, *, directory: str) -> str | None:
        """Path of a tracked file from the top of the repository; None where there is none.

        Paths count from the top, as git's own do; from `directory`, where that leads nowhere, or where they start
        with a dot or a slash.
        """
        inner = self.inside(path, directory=directory)
        from_top = posixpath.normpath(path)
        relative = path.startswith((".", "/"))
        wanted = (inner, from_top) if relative or self.top is None else (from_top, inner)
        return next((each for each in wanted if each is not None and self._resolved(each) is not None), None)

    def inside(self, path: str, *, directory: str) -> str | None:
        """A path of this machine, from the top of the repository; None where it lies outside of it."""
        if self.top is None:
            return None
        named = Path(directory, path)  # the folder's own links are followed, the file itself may be one
        inner = os.path.relpath(named.parent.resolve() / named.name, Path(self.top).resolve())
        return None if inner.startswith("..") else Path(inner).as_posix()

    def has(self, path: str) -> bool:
        """Whether a file is tracked at a path from the top."""
        return self._resolved(path) is not None

    def below(self, folder: str) -> tuple[str, ...]:
        """Tracked files below a folder, from the top; `.` for all."""
        start = "" if folder in {"", "."} else f"{folder}/"
        first = bisect_left(self._paths, start)
        return tuple(takewhile(lambda path: path.startswith(start), self._paths[first:]))

    def put(self, path: str, *, into: str) -> str:
        """Write a tracked file and what a recipe of that name may need; the path that it has now."""
        wanted = {path, *self._beside(path)}
        self._write(wanted, into=into)
        near = [_placed(name, into) for name in wanted if name == path or "clusters" in name.split("/")]
        texts = [place.read_text("utf-8", "replace") for place in near if place.is_file()]
        self._write(self._named(posixpath.dirname(path), texts), into=into)
        return str(_placed(path, into))

    def put_alone(self, path: str, *, into: str) -> str:
        """Write a tracked file that needs nothing else; the path that it has now."""
        self._write([path], into=into)
        return str(_placed(path, into))

    def _beside(self, path: str) -> Iterable[str]:
        folder = posixpath.dirname(path)
        yield from (each for each in self.below(folder) if posixpath.dirname(each) == folder)
        while True:
            for inner in _BESIDE:
                yield from self.below(posixpath.join(folder, inner))
            if not folder:
                return
            folder = posixpath.dirname(folder)

    def _named(self, folder: str, texts: Sequence[str]) -> set[str]:
        """Tracked files whose paths stand in a text, from the recipe's folder."""
        found = set()
        for text in texts:
            for line in text.splitlines():
                for value in _values(line):
                    name = posixpath.normpath(posixpath.join(folder, value))
                    if value and not name.startswith("..") and self._resolved(name) is not None:
                        found.add(name)
        return found

    def _resolved(self, path: str, hops: int = 0) -> _Blob | None:
        """The file at a path, through links, of folders too."""
        if hops > _HOPS or "\0" in path:
            return None
        blob = self._files.get(path)
        if blob is not None and blob.mode != _LINK:
            return blob
        parts = path.split("/")
        for at in range(1, len(parts) + 1):
            link = self._files.get("/".join(parts[:at]))
            if link is not None and link.mode == _LINK:
                target = os.fsdecode(self._git.blobs([link.name]).get(link.name, b""))
                folder = "/".join(parts[: at - 1])
                led = posixpath.normpath(posixpath.join(folder, target, *parts[at:]))
                return self._resolved(led, hops + 1)
        return None

    def _write(self, paths: Iterable[str], *, into: str) -> None:
        """Those that are there, small, and not yet written."""
        missing = [path for path in paths if not _placed(path, into).exists()]
        blobs = {path: blob for path in missing if (blob := self._resolved(path)) is not None}
        small = {path: blob for path, blob in blobs.items() if blob.size <= _LARGEST}
        contents = self._git.blobs([blob.name for blob in small.values()])
        for path, blob in small.items():
            if blob.name in contents:
                place = _placed(path, into)
                place.parent.mkdir(parents=True, exist_ok=True)
                place.write_bytes(contents[blob.name])


@dataclass(frozen=True, slots=True)
class _Git:
    """Git in one folder."""

    directory: str
    environ: Mapping[str, str]

    def ask(self, *words: str, given: bytes = b"") -> subprocess.CompletedProcess[bytes]:
        """What git says; FileNotFoundError where there is no git."""
        command = ("git", "-C", self.directory, *words)
        return subprocess.run(command, input=given, capture_output=True, check=False, env=dict(self.environ))

    def blobs(self, names: Sequence[str]) -> dict[str, bytes]:
        """Contents by name, of one process."""
        if not names:
            return {}
        said = self.ask("cat-file", "--batch", given="".join(f"{name}\n" for name in names).encode()).stdout
        found, at = {}, 0
        for name in names:
            end = said.index(b"\n", at)
            words = said[at:end].split()
            at = end + 1
            if len(words) == 3:  # else `NAME missing`, in a clone that left it out
                found[name] = said[at : at + int(words[2])]
                at += int(words[2]) + 1
        return found


def _placed(path: str, into: str) -> Path:
    return Path(into, *path.split("/"))


def _values(line: str) -> Iterable[str]:
    """What may be a path in a line of YAML: words, all that is in quotes, and all after a colon."""
    yield from (part.strip("\"'") for part in _SEPARATORS.split(line))
    yield from (one or other for one, other in _QUOTED.findall(line))
    for rest in line.split(": ")[1:]:
        yield rest.partition(" #")[0].partition(", ")[0].strip(" ]}\"'")


def split_revision(text: str) -> tuple[str, str] | None:
    """`REV:path` in two; None where there is no revision in it. A colon in braces belongs to the revision."""
    depth = 0
    for at, letter in enumerate(text):
        depth += {"{": 1, "}": -1}.get(letter, 0)
        if letter == ":" and depth == 0:
            return (text[:at], text[at + 1 :]) if at else None
    return None


def open_revision(name: str, *, directory: str, environ: Mapping[str, str]) -> Revision:
    """The commit that a name means in the repository of a folder. Raises RecipeError where there is none."""
    git = _git(directory, environ, name=name)
    top = git.ask("rev-parse", "--show-toplevel")
    safe = not name.startswith("-") and name.isprintable()
    commit = git.ask("rev-parse", "--verify", "--quiet", f"{name}^{{commit}}") if safe else None
    if commit is None or commit.returncode:
        raise RecipeError([_unknown(name, git)])
    found = commit.stdout.decode().strip()
    folder = os.fsdecode(top.stdout.removesuffix(b"\n")) if top.returncode == 0 else None
    if folder is not None:
        git = _Git(folder, git.environ)
    listed = git.ask("ls-tree", "-r", "-z", "--long", "--full-tree", found)
    if listed.returncode:
        raise RecipeError([_broken(name, listed.stderr)])
    files = dict(_entries(listed.stdout))
    return Revision(name, found, folder, files, sorted(files), git)


def _git(directory: str, environ: Mapping[str, str], *, name: str) -> _Git:
    """Git where a repository is: that of the folder, else the one that the environment names."""
    plain = {**environ, "LC_ALL": "C", "GIT_OPTIONAL_LOCKS": "0"}
    outside = {key: value for key, value in plain.items() if key not in _OF_A_HOOK}
    said = b""
    for each in (outside, plain):
        git = _Git(directory, each)
        try:
            asked = git.ask("rev-parse", "--git-dir")
        except FileNotFoundError:
            raise RecipeError([_no_repository(name, "git is not installed", "install git")]) from None
        if asked.returncode == 0:
            return git
        said = said or asked.stderr
    words = said.decode("utf-8", "replace").strip().splitlines() or ["git does not say why"]
    if "dubious ownership" in words[0]:
        hint = f"git config --global --add safe.directory {directory}"
        raise RecipeError([_no_repository(name, "git does not trust the owner of this folder", hint)])
    message = f"git: {words[0].removeprefix('fatal: ')}"
    raise RecipeError([_no_repository(name, message, "run it inside a git repository")])


def _entries(listed: bytes) -> Iterable[tuple[str, _Blob]]:
    """Path to file, of `ls-tree -z --long`; submodules are no files."""
    for line in listed.split(b"\0"):
        head, _, path = line.partition(b"\t")
        words = head.decode().split()
        if len(words) == 4 and words[1] == "blob":
            yield os.fsdecode(path), _Blob(words[0], words[2], int(words[3]))


def _unknown(name: str, git: _Git) -> Problem:
    shallow = git.ask("rev-parse", "--is-shallow-repository").stdout.strip() == b"true"
    branch = name.removeprefix("origin/")
    simple = re.fullmatch(r"[\w./-]+", branch) is not None and not branch.startswith("-")
    fetch = f"git fetch origin {branch}" if simple else "git fetch"
    if shallow:
        hint = f"the clone is shallow: `{fetch}`, or check out with the whole history (`fetch-depth: 0`)"
    else:
        hint = f"`{fetch}`, or name a commit that `git log` shows"
    return Problem(
        code="unknown-revision", where=_shown(name), message="git knows no such revision", hint=hint
    )


def _no_repository(name: str, message: str, hint: str) -> Problem:
    return Problem(code="no-repository", where=_shown(name), message=message, hint=hint)


def _broken(name: str, said: bytes) -> Problem:
    words = said.decode("utf-8", "replace").strip().splitlines() or ["git does not say why"]
    message = f"git cannot list the revision: {words[0].removeprefix('fatal: ')}"
    return Problem(
        code="unknown-revision", where=_shown(name), message=message, hint="git fetch, then try again"
    )


def _shown(name: str) -> str:
    return name if name.isprintable() else repr(name)
