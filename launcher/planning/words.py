"""Numbers and values as messages show them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from launcher.spec.recipe import Recipe

__all__ = ["as_written", "as_yaml", "counted"]

_NUMBER = re.compile(r"[-+0-9._eE]+")


def as_written(recipe: Recipe, path: str, value: float) -> str:
    """A number as it stands in the recipe's text, `3e-4`; its shortest form where there is no text."""
    mark, lines = recipe.marks.get(path), recipe.source.splitlines()
    if mark is not None and mark.origin == "recipe" and 0 < mark.line <= len(lines):
        found = _NUMBER.match(lines[mark.line - 1], mark.column - 1)
        if found and float(found[0]) == value:
            return found[0]
    return f"{value:g}"


def as_yaml(value: Any) -> str:
    """A value as it would stand in a recipe: `true`, `[0, 1]`; `{...}` for a section."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, Sequence) and not isinstance(value, str):
        return f"[{', '.join(as_yaml(item) for item in value)}]"
    if hasattr(value, "__dataclass_fields__") and not hasattr(value, "unit"):
        return "{...}"
    return f"{value:g}" if isinstance(value, float) else str(value)


def counted(number: int, noun: str) -> str:
    """A number with its noun: `1 node`, `8 devices`."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
