"""What a recipe text says before anybody asks what it means: scalars, lists and keys, each with its place."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from launcher.spec.marks import Mark, OriginName

__all__ = [
    "MAX_DEPTH",
    "Broken",
    "Entry",
    "Items",
    "Keys",
    "Node",
    "Place",
    "Scalar",
    "below",
    "plain",
    "shortened",
    "shown",
    "shown_path",
]

MAX_DEPTH = 50
"""Levels of lists and keys; no tool's own configuration comes near, and recursion stays shallow."""
_SHOWN = 60


@dataclass(frozen=True, slots=True)
class Place:
    """Where something stands; line and column are 1-based, 0 when there is no text; `turn` counts overrides."""

    origin: OriginName
    file: str = ""
    line: int = 0
    column: int = 0
    turn: int = 0

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}" if self.line else self.file

    def mark(self, key: Place) -> Mark:
        """The mark of a value at this place whose key stands at another."""
        return Mark(
            origin=self.origin,
            file=self.file,
            line=self.line,
            column=self.column,
            key_line=key.line,
            key_column=key.column,
        )


@dataclass(frozen=True, slots=True)
class Scalar:
    """One value; `text` is what was written, quotes included, and empty where nothing was."""

    value: str | int | float | bool | None
    text: str
    place: Place


@dataclass(frozen=True, slots=True)
class Items:
    """A list."""

    items: tuple[Node, ...]
    place: Place


@dataclass(frozen=True, slots=True)
class Entry:
    """The value of a key, and where the key stands."""

    node: Node
    key: Place


@dataclass(frozen=True, slots=True)
class Keys:
    """A mapping; keys are text, whatever they look like."""

    entries: Mapping[str, Entry]
    place: Place


@dataclass(frozen=True, slots=True)
class Broken:
    """Something that a problem has been reported for; nobody complains about it twice."""

    place: Place


Node = Scalar | Items | Keys | Broken


def below(path: str, key: str) -> str:
    """The dotted path of a key below a path."""
    return f"{path}.{key}" if path else key


def plain(node: Node) -> Any:
    """The Python values of a tree."""
    match node:
        case Scalar(value=value):
            return value
        case Items(items=items):
            return [plain(item) for item in items]
        case Keys(entries=entries):
            return {key: plain(entry.node) for key, entry in entries.items()}
        case Broken():
            return None


def shown(node: Node) -> str:
    """The value as written, on one line, shortened."""
    return shortened(_compact(node))


def shortened(text: str) -> str:
    """A text on one line, cut where it gets too long for a message."""
    line = " ".join(text[: 2 * _SHOWN].split())
    return line if len(line) <= _SHOWN else f"{line[: _SHOWN - 3]}..."


def shown_path(path: str) -> str:
    """A dotted path or a key for a message; control characters as escapes."""
    return path if path.isprintable() else json.dumps(path)[1:-1]


def _compact(node: Node) -> str:
    match node:
        case Scalar(text=text):
            return text
        case Items(items=items):
            return f"[{', '.join(_compact(item) for item in items[:_SHOWN])}]"
        case Keys(entries=entries):
            some = list(entries.items())[:_SHOWN]
            return f"{{{', '.join(f'{shown_path(key)}: {_compact(entry.node)}' for key, entry in some)}}}"
        case Broken():
            return "..."
