"""Where each number of the plan came from."""

from __future__ import annotations

from collections.abc import Mapping

from launcher.spec.marks import Mark, Origin

__all__ = ["default", "derived", "written_or"]


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
