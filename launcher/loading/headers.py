"""What the comment at the head of a library file says: its title, its command, where its numbers come from."""

from __future__ import annotations

import re
from dataclasses import dataclass

__all__ = ["Header", "read_header"]

_KEY = re.compile(r"(source|engines|verified): *(.*)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Header:
    """The first comment of a recipe or a cluster file, taken apart."""

    title: str
    commands: tuple[str, ...]
    """The indented lines: commands to type."""
    arithmetic: tuple[str, ...]
    """The free lines: what the numbers come to."""
    source: str
    """Where the numbers come from, on one line."""
    engines: tuple[str, ...]
    """Engines that the tests render it for, as written; empty: launch.engine alone."""
    verified: str
    """`run` or `arithmetic`."""


def read_header(text: str) -> Header:
    """The header of a file's text; what it does not say is empty.

    Lines of comment at the top: a title, indented commands, free lines, then `source:`, `engines:` and `verified:`,
    each of which may run on until the next of them.
    """
    title = ""
    commands: list[str] = []
    free: list[str] = []
    named: dict[str, list[str]] = {"source": [], "engines": [], "verified": []}
    into = free
    for line in _comment(text):
        if line.startswith("    "):
            commands.append(line.strip())
            into = free
        elif match := _KEY.fullmatch(line.strip()):
            into = named[match[1]]
            into.append(match[2])
        elif not title:
            title = line.strip()
        elif line.strip():
            into.append(line.strip())
    said = {name: " ".join(words).strip() for name, words in named.items()}
    return Header(
        title=title.removesuffix(":"),
        commands=tuple(commands),
        arithmetic=tuple(free),
        source=said["source"],
        engines=tuple(re.findall(r"[\w.-]+", said["engines"])),
        verified=said["verified"],
    )


def _comment(text: str) -> list[str]:
    """The lines of the first comment without `#` and the space behind it; lines for editors left out."""
    lines: list[str] = []
    for line in text.splitlines():
        if not line.startswith("#"):
            break
        inner = line[1:].removeprefix(" ").rstrip()
        if not inner.startswith("yaml-language-server:"):
            lines.append(inner)
    return lines
