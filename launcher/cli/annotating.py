"""Where GitHub shows a problem: paths from the root of the repository that is checked out."""

from __future__ import annotations

import os
from pathlib import Path

from launcher.cli.surroundings import Surroundings
from launcher.errors import Problem

__all__ = ["annotated"]


def annotated(problem: Problem, around: Surroundings) -> str:
    """The problem as one line for GitHub's runner."""
    from launcher.loading.locating import place_of
    from launcher.reporting.annotations import annotation

    file, line, column = place_of(problem.where)
    return annotation(problem, file=_from_the_root(file, around), line=line, column=column)


def _from_the_root(file: str, around: Surroundings) -> str:
    """A file as the pull request names it; empty for what is no file of it, with the place left to the message."""
    root = around.environ.get("GITHUB_WORKSPACE", "")
    if not file or not os.path.lexists(file):
        return ""
    if not root:
        return file
    path = os.path.relpath(os.path.realpath(file), os.path.realpath(root))
    return file if path.startswith("..") else Path(path).as_posix()
