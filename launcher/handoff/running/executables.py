"""Where the programs of a job are: beside the interpreter that runs us, else on the caller's PATH."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

__all__ = ["find_executable"]


def find_executable(name: str, *, environ: Mapping[str, str], beside: Path, directory: str) -> Path | None:
    """The file that a command name stands for, None when there is none.

    beside: folder of our own interpreter; first, because the witness is importable there and a `torchrun` of
    another installation could not start it. directory: where a name with a slash is taken from.
    """
    if "/" in name:
        found = Path(directory, name)
        return found if _is_executable(found) else None
    folders = [str(beside), *environ.get("PATH", "").split(":")]
    candidates = (Path(directory, folder, name) for folder in folders if folder)
    return next((path for path in candidates if _is_executable(path)), None)


def _is_executable(path: Path) -> bool:
    return path.is_file() and os.access(path, os.X_OK)
