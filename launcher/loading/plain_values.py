"""Python values to the tree that a recipe text would have given."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

from launcher.loading.found import Found
from launcher.loading.scalars import reads_as_text, unfit
from launcher.loading.tree import (
    MAX_DEPTH,
    Broken,
    Entry,
    Items,
    Keys,
    Node,
    Place,
    Scalar,
    below,
    shown_path,
)

__all__ = ["tree_of"]


def tree_of(value: Any, *, place: Place, found: Found, path: str = "", depth: int = 1) -> Node:
    """A tree of plain Python values, all at one place; what no recipe text could hold becomes a problem."""
    if depth > MAX_DEPTH:
        return _broken(
            found, place, path, "wrong-type", f"`{shown_path(path)}`: nested deeper than {MAX_DEPTH} levels"
        )
    if isinstance(value, Mapping):
        entries: dict[str, Entry] = {}
        for key, item in value.items():
            name = key if isinstance(key, str) else str(key)
            inner = below(path, name)
            if reason := unfit(name):
                found.complain("wrong-type", place, f"key `{shown_path(inner)}`: {reason}", path=inner)
            elif name in entries:
                message = f"key `{shown_path(inner)}` stands there twice, as text and as something else"
                found.complain("duplicate-key", place, message, path=inner)
            else:
                node = tree_of(item, place=place, found=found, path=inner, depth=depth + 1)
                entries[name] = Entry(node, place)
        return Keys(entries, place)
    if isinstance(value, list | tuple):
        nodes = []
        for index, item in enumerate(value):
            inner = below(path, str(index))
            nodes.append(tree_of(item, place=place, found=found, path=inner, depth=depth + 1))
        return Items(tuple(nodes), place)
    return _scalar(value, place=place, found=found, path=path)


def _scalar(value: Any, *, place: Place, found: Found, path: str) -> Node:
    if value is not None and type(value) not in {str, int, float, bool}:
        kind = type(value).__name__
        return _broken(
            found,
            place,
            path,
            "wrong-type",
            f"`{shown_path(path)}`: expected text, numbers, lists or keys, not {kind}",
        )
    if isinstance(value, float) and not math.isfinite(value):
        return _broken(
            found, place, path, "not-finite", f"`{shown_path(path)}: {value}`: expected a finite number"
        )
    if isinstance(value, str) and (reason := unfit(value)):
        return _broken(found, place, path, "wrong-type", f"`{shown_path(path)}`: {reason}")
    written = value if isinstance(value, str) and reads_as_text(value) else json.dumps(value)
    return Scalar(value, written, place)


def _broken(found: Found, place: Place, path: str, code: str, message: str) -> Node:
    found.complain(code, place, message, path=path)
    return Broken(place)
