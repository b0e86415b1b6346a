"""The lines of a recipe file that say something about one key: as somebody wrote it, with the number of the first."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from launcher.loading.found import Found
from launcher.loading.tree import Items, Keys, Node, Place
from launcher.loading.yaml_text import read_yaml

__all__ = ["Excerpt", "excerpts"]

_MOST = 12


class Excerpt(NamedTuple):
    """Lines of a file."""

    line: int
    """Number of the first one."""
    lines: tuple[str, ...]


def excerpts(text: str, *, prefix: str = "") -> dict[str, Excerpt]:
    """The first mention of every key of a YAML text, by dotted path without the numbers of list items.

    prefix: the path that the whole text stands at, `cluster` for a cluster file.
    """
    root = read_yaml(text, place=Place("recipe"), found=Found())
    lines = text.splitlines()
    found: dict[str, Excerpt] = {}
    for path, line, column in _keys(root, prefix):
        found.setdefault(path, Excerpt(line, _block(lines, line - 1, column - 1)))
    return found


def _keys(node: Node | None, path: str) -> Iterator[tuple[str, int, int]]:
    match node:
        case Keys(entries=entries):
            for name, entry in entries.items():
                inner = f"{path}.{name}" if path else name
                yield inner, entry.key.line, entry.key.column
                yield from _keys(entry.node, inner)
        case Items(items=items):
            for item in items:
                yield from _keys(item, path)
        case _:
            return


def _block(lines: list[str], at: int, indent: int) -> tuple[str, ...]:
    """The line of a key and what belongs to it: lines further in, and until its brackets are closed."""
    block = [lines[at]]
    for line in lines[at + 1 :]:
        inside = line.strip() and len(line) - len(line.lstrip()) > indent
        item = line.lstrip().startswith("- ") and len(line) - len(line.lstrip()) == indent
        if not (inside or item or _open(block)) or len(block) == _MOST:
            break
        block.append(line)
    margin = min(len(line) - len(line.lstrip()) for line in block if line.strip())
    return tuple(line[margin:].rstrip() for line in block)


def _open(block: list[str]) -> bool:
    text = "\n".join(block)
    return text.count("[") + text.count("{") > text.count("]") + text.count("}")
