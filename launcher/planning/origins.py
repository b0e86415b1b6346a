"""Where each number of the plan came from."""

from __future__ import annotations

import re
from collections.abc import Mapping

from launcher.spec.marks import Mark, Origin
from launcher.spec.recipe import Recipe

__all__ = ["as_written", "default", "derived", "written_or"]

_NUMBER = re.compile(r"[-+0-9._eE]+")


def default(formula: str = "") -> Origin:
    """Nobody wrote it and nothing demands it; `formula` where the default follows from other numbers."""
    return Origin(origin="default", formula=formula)


def derived(formula: str) -> Origin:
    """It follows from other numbers, which the formula shows: `1024 / (2 x 64)`."""
    return Origin(origin="derived", formula=formula)


def written_or(marks: Mapping[str, Mark], path: str, otherwise: Origin) -> Origin:
    """Origin of the value at a recipe path; `otherwise` where it is not written."""
    mark = marks.get(path)
    return otherwise if mark is None else Origin(origin=mark.origin, file=str(mark))


def as_written(recipe: Recipe, path: str, value: float) -> str:
    """A number as it stands in the recipe's text, `3e-4`; its shortest form where there is no text."""
    mark, lines = recipe.marks.get(path), recipe.source.splitlines()
    if mark is not None and mark.origin == "recipe" and 0 < mark.line <= len(lines):
        found = _NUMBER.match(lines[mark.line - 1], mark.column - 1)
        if found and float(found[0]) == value:
            return found[0]
    return f"{value:g}"
