"""Places for problems that know only a path."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from launcher.errors import Problem
from launcher.spec.marks import Mark
from launcher.spec.recipe import Recipe

__all__ = ["locate"]


def locate(problems: Iterable[Problem], recipe: Recipe) -> tuple[Problem, ...]:
    """The same problems with `where`: the value that was written at their path, else the nearest key above it.

    A problem about something nobody wrote stands at the file alone.
    """
    file = next((mark.file for mark in recipe.marks.values() if mark.origin == "recipe"), "")
    return tuple(
        problem if problem.where else replace(problem, where=_where(problem.path, recipe) or file)
        for problem in problems
    )


def _where(path: str, recipe: Recipe) -> str:
    mark = recipe.marks.get(path)
    if mark:
        return str(mark)
    while path:
        path = path.rpartition(".")[0]
        mark = recipe.marks.get(path)
        if mark:  # the value of a section begins at its first key, which is not to blame: name the section
            return _key_place(mark)
    return ""


def _key_place(mark: Mark) -> str:
    return f"{mark.file}:{mark.key_line}:{mark.key_column}" if mark.key_line else str(mark)
