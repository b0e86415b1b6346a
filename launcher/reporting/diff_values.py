"""Values of a plan or a recipe as a difference shows them: short, on one line, without what may be a secret."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from launcher.units import show_count, show_rate

__all__ = ["pair", "share", "show_short", "show_value"]

_LONGEST = 48
_HIDDEN = (".env.", "launch.template.text", "launch.template.manifest")
"""Shown by name alone: a variable may hold a secret, a job file is a page."""


def pair(path: str, before: Any, after: Any) -> tuple[str, str]:
    """Both values of a path; of long lists the part that differs."""
    if any(part in f"{path}." for part in _HIDDEN) and before != after:
        return ("unset" if before is None else "as it was"), ("unset" if after is None else "changed")
    if path.endswith(("args", "argv", "extra")) and all(
        isinstance(each, list | None) for each in (before, after)
    ):
        before, after = _middle(before or [], after or [])
        return _words(before), _words(after)
    if isinstance(before, list) and isinstance(after, list) and path.endswith("curve"):
        moved = sum(a != b for a, b in zip(before, after, strict=False)) + abs(len(before) - len(after))
        return f"{len(before)} points", f"{len(after)} points, {moved} of them moved"
    first, second = show_value(path, before), show_value(path, after)
    return (repr(before), repr(after)) if first == second and before != after else (first, second)


def show_value(path: str, value: Any) -> str:
    """One value; `unset` where there is none."""
    if value is None or (isinstance(value, list | dict) and not value):
        return "unset"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int) and path.startswith("memory."):
        return f"{value / 2**30:.1f} GiB" if value >= 2**30 else f"{value / 2**20:.0f} MiB"
    if isinstance(value, int):
        return show_short(value) if path.rpartition(".")[2] != "seed" else str(value)
    if isinstance(value, float):
        return show_rate(value) if path.endswith("learning_rate") else f"{value:.10g}"
    if isinstance(value, list):
        return _cut(f"[{', '.join(show_value(path, item) for item in value)}]")
    return _cut(_line(str(value))) or '""'


def show_short(number: int) -> str:
    """A whole number, with separators from 10,000 on."""
    return str(number) if abs(number) < 10_000 else show_count(number)


def share(before: float, after: float) -> str:
    """`-6.3 %`; empty where there is nothing to compare with."""
    if not before:
        return ""
    change = 100 * (after / before - 1)
    if abs(change) >= 1000:
        return f"x {after / before:,.0f}" if after >= 100 * before else f"x {after / before:.3g}"
    if abs(change) < 0.05:
        return f"{change:+.1g} %"
    return f"{math.copysign(math.floor(10 * abs(change) + 0.5) / 10, change):+.1f} %"  # 6.25 is 6.3 to people


def _middle(before: Sequence[Any], after: Sequence[Any]) -> tuple[Sequence[Any], Sequence[Any]]:
    """Both lists without what they have in common at their beginnings and at their ends."""
    start = 0
    while start < min(len(before), len(after)) and before[start] == after[start]:
        start += 1
    end = 0
    while end < min(len(before), len(after)) - start and before[-1 - end] == after[-1 - end]:
        end += 1
    if start and start in (len(before) - end, len(after) - end):
        start -= 1  # of what was only added, the word before it says where
    return before[start : len(before) - end], after[start : len(after) - end]


def _words(value: Sequence[Any]) -> str:
    return _cut(_line(" ".join(map(str, value)))) or "nothing"


def _line(text: str) -> str:
    """On one line, with control characters as escapes."""
    return "".join(each if each.isprintable() else each.encode("unicode_escape").decode() for each in text)


def _cut(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 3]}..."
