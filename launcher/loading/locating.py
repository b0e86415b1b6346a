"""Places for problems that know only a path."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import replace

from launcher.errors import Problem
from launcher.spec.marks import Mark
from launcher.spec.recipe import Recipe

__all__ = ["in_order", "locate", "place_of"]


def locate(problems: Iterable[Problem], recipe: Recipe) -> tuple[Problem, ...]:
    """The same problems with `where`: the value that was written at their path, else the nearest key above it.

    A problem about something nobody wrote stands at the file alone.
    """
    file = _file_of(recipe)
    return tuple(
        problem if problem.where else replace(problem, where=_where(problem.path, recipe) or file)
        for problem in problems
    )


def in_order(problems: Iterable[Problem], recipe: Recipe) -> tuple[Problem, ...]:
    """Problems as a person meets them: the recipe from top to bottom, then other files, then the command line."""
    file = _file_of(recipe)

    def place(problem: Problem) -> tuple[int, str, int, int]:
        name, line, column = place_of(problem.where)
        if name.startswith("--set "):
            return 2, "", 0, 0
        return (0, "", line, column) if name == file else (1, name, line, column)

    return tuple(sorted(problems, key=place))


def place_of(where: str) -> tuple[str, int, int]:
    """File, line and column of `file:line:col`; 0 where they are not known."""
    found = re.fullmatch(r"(.*):([0-9]+):([0-9]+)", where, re.DOTALL)
    return (found[1], int(found[2]), int(found[3])) if found else (where, 0, 0)


def _file_of(recipe: Recipe) -> str:
    return next((mark.file for mark in recipe.marks.values() if mark.origin == "recipe"), "")


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
