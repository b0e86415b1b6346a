"""The folder of one run: complete or absent, its own owner's only, and never another run's."""

from __future__ import annotations

import errno
import os
import re
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path

from launcher.errors import HandoffError, Problem
from launcher.handoff.files import make_folder, write_file

__all__ = ["create_named_folder", "create_run_folder", "plain_name", "run_name"]

_TAKEN = {errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR}


def plain_name(name: str) -> str:
    """A recipe's name as part of a file name; what a file name cannot hold well becomes `-`."""
    return re.sub(r"[^\w.+-]+", "-", name, flags=re.ASCII).strip("-.")[:80] or "run"


def run_name(*, recipe_name: str, plan_hash: str, stamp: str) -> str:
    """`quickstart-20261121-230142-7f3a`."""
    return f"{plain_name(recipe_name)}-{stamp}-{plan_hash[:4]}"


def create_run_folder(*, parent: Path, name: str, files: Callable[[Path], Mapping[str, str]]) -> Path:
    """A new folder under parent with all its files, or none; `-2`, `-3` follow the name while it is taken.

    files: texts by name, for the folder's own absolute path. Renaming onto a folder that holds something fails in
    the kernel, so two launches in one second never share a folder.
    """
    parent.mkdir(parents=True, exist_ok=True)
    number = 1
    while not _placed(target := parent / (name if number == 1 else f"{name}-{number}"), files):
        number += 1
    return target


def create_named_folder(*, target: Path, files: Callable[[Path], Mapping[str, str]]) -> Path:
    """The same at a place that a person chose. Raises HandoffError[directory-not-empty]."""
    if not _placed(target, files):
        problem = Problem(
            code="directory-not-empty",
            message=f"`--run-dir {target}` is not an empty folder",
            hint="name a new folder; a run never shares one",
        )
        raise HandoffError([problem])
    return target


def _placed(target: Path, files: Callable[[Path], Mapping[str, str]]) -> bool:
    """Writes beside the target and renames; False when something is there already."""
    beside = target.with_name(f".{target.name}.{os.getpid()}-{os.urandom(4).hex()}")
    make_folder(beside)
    try:
        for name, text in files(target).items():
            write_file(beside / name, text)
        (beside / "logs").mkdir(mode=0o700)
        try:
            beside.rename(target)
        except OSError as error:
            if error.errno in _TAKEN:
                return False
            raise
        return True
    finally:
        shutil.rmtree(beside, ignore_errors=True)
