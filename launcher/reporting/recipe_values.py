"""What a recipe says, as plain values by key: only what differs from a default, in the order of the reference."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import is_dataclass
from typing import Any, cast

from launcher.spec.recipe import Recipe
from launcher.spec.shapes import Key, section_of
from launcher.units import Amount

__all__ = ["recipe_values"]


def recipe_values(recipe: Recipe) -> dict[str, Any]:
    """Nested keys and values that read back as an equal recipe; Amounts are kept as they were written.

    What a preset or a config.json has filled in is left out: the recipe names where it comes from. A cluster that
    was read from another file is written out.
    """
    filled = {path for path, mark in recipe.marks.items() if mark.origin == "derived"}
    return {"schema": recipe.schema, **_section(recipe, "", filled)}


def _section(value: Any, prefix: str, filled: set[str]) -> dict[str, Any]:
    found = {}
    for key in section_of(cast("type", type(value))).keys:
        path = f"{prefix}{key.name}"
        written = getattr(value, key.name)
        if path not in filled and not _is_default(key, written):
            found[key.name] = _plain(written, f"{path}.", filled)
    return found


def _is_default(key: Key, value: Any) -> bool:
    return not key.required and type(value) is type(key.default) and bool(value == key.default)


def _plain(value: Any, prefix: str, filled: set[str]) -> Any:
    if isinstance(value, Amount):
        return value
    if is_dataclass(value):
        return _section(value, prefix, filled)
    if isinstance(value, Mapping):
        return {str(key): _plain(item, "", set()) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item, "", set()) for item in value]
    return value
