"""What a recipe was made of, for people: what could not be carried over, and what is missing."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from launcher.reporting.columns import wrapped
from launcher.spec.begun import Missing, NotCarried

__all__ = ["begun_lines", "header_lines"]

_WIDTH = 100
_LONGEST = 40


def header_lines(sources: Sequence[tuple[str, str]]) -> list[str]:
    """The lines at the top of the recipe."""
    return [
        "Begun by batchwright init from",
        *(f"  {source}: {kind}" for source, kind in sources),
        "Behind each key: the file and the key it comes from.",
    ]


def begun_lines(
    *, not_carried: Sequence[NotCarried], missing: Sequence[Missing], skipped: Sequence[str] = ()
) -> list[str]:
    """Everything that the recipe does not hold, in three lists: each entry says why, and what to do."""
    lines: list[str] = []
    if not_carried:
        lines += ["not carried over", *_not_carried(not_carried)]
    needed = [each for each in missing if each.needed]
    if needed:
        lines += ["needed for a plan, and in none of these files"]
        width = max(len(each.path) for each in needed)
        lines += [f"  {each.path:<{width}}  {each.why}" for each in needed]
    rest = [each for each in missing if not each.needed]
    if rest:
        lines += _missing(rest)
    if skipped:
        lines += ["not read", *(f"  {each}" for each in skipped)]
    return lines


def _not_carried(every: Sequence[NotCarried]) -> list[str]:
    """Entries of one reason stand together."""
    lines = []
    groups: dict[tuple[str, str], list[NotCarried]] = {}
    for each in every:
        alike = each.hint if not each.hint.startswith("write ") else "write"
        groups.setdefault((each.why, alike), []).append(each)
    for (why, _), group in groups.items():
        if len(group) > 3:
            text = ", ".join(f"{each.key} {_show(each.value)}" for each in group)
            lines += wrapped(f"  {group[0].source}: {text}", width=_WIDTH, hang=4)
            hints = dict.fromkeys(each.hint for each in group if each.hint)
            lines += [f"    {line}" for line in _reason(why, "; ".join(hints))]
            continue
        for each in group:
            lines.append(f"  {each.source}: {each.key}: {_show(each.value)}")
            lines += [f"    {line}" for line in _reason(why, each.hint)]
    return lines


def _reason(why: str, hint: str) -> list[str]:
    told = wrapped(f"hint: {hint}", width=_WIDTH - 4, hang=2) if hint else []
    return [*wrapped(why, width=_WIDTH - 4, hang=0), *told]


def _missing(rest: Sequence[Missing]) -> list[str]:
    """Those with words of their own, then the long list of defaults."""
    lines = []
    for title, group in (
        ("said by a file, and not for certain", [each for each in rest if each.is_unsure]),
        ("in none of these files", [each for each in rest if not each.is_unsure and each.why]),
    ):
        lines += [title] if group else []
        for each in group:
            instead = f" (instead of {', '.join(each.instead_of)})" if each.instead_of else ""
            lines += wrapped(f"  {each.path}: {each.why}{instead}", width=_WIDTH, hang=4)
    if plain := [each.path for each in rest if not each.why]:
        lines.append("in none of these files; the default stands until it is written")
        lines += _by_section(plain)
    return lines


def _by_section(paths: Sequence[str]) -> list[str]:
    """Whole sections first, then the keys of each section that is known in part."""
    sections: dict[str, list[str]] = {"": []}
    for path in paths:
        above, _, key = path.rpartition(".")
        sections.setdefault(above, []).append(key)
    return [
        line
        for above, keys in sections.items()
        if keys
        for line in wrapped(f"  {f'{above}: ' if above else ''}{', '.join(keys)}", width=_WIDTH, hang=4)
    ]


def _show(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 3]}..."
