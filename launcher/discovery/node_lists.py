"""Slurm's short forms: `n[01-03,7]` for hosts, `8(x2),4` for one number per node. Pure.

Source: slurm@22.05 src/common/hostlist.c:_hostlist_create, src/common/slurm_protocol_api.c:uint32_compressed_to_str.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

__all__ = ["MOST", "expand_counts", "expand_hosts"]

MOST = 65_536
"""Names that one list may stand for; Slurm's own limit."""

_BRACKETS = re.compile(r"\[([^\[\]]*)\]")
_RANGE = re.compile(r"(\d+)(?:-(\d+))?", re.ASCII)
_COUNT = re.compile(r"(\d+)(?:\(x(\d+)\))?", re.ASCII)


def expand_hosts(text: str) -> tuple[str, ...]:
    """Names in the order of the list; the width of a range is that of its lower end. ValueError for anything else.

    Checked: against `scontrol show hostnames` of Slurm 22.05.8.
    """
    names: list[str] = []
    for part in _parts(text):
        names.extend(_expanded(part, room=MOST - len(names)))
    if not names:
        raise ValueError(f"`{text}` names no host")
    return tuple(names)


def expand_counts(text: str) -> tuple[int, ...]:
    """One number per node. ValueError for anything else."""
    counts: list[int] = []
    for part in text.split(","):
        match = _COUNT.fullmatch(part.strip())
        times = int(match[2] or 1) if match else 0
        if match is None or not 0 < times <= MOST:
            raise ValueError(f"`{text}`: `{part}` is not a number, nor one such as `8(x2)`")
        counts.extend([int(match[1])] * times)
    return tuple(counts)


def _parts(text: str) -> Iterator[str]:
    """The list at its commas, but for those in brackets."""
    part, depth = "", 0
    for letter in text:
        depth += {"[": 1, "]": -1}.get(letter, 0)
        if depth not in {0, 1}:
            raise ValueError(f"`{text}` has brackets that do not match")
        if letter == "," and depth == 0:
            yield from filter(None, [part.strip()])
            part = ""
        else:
            part += letter
    if depth:
        raise ValueError(f"`{text}` has brackets that do not match")
    yield from filter(None, [part.strip()])


def _expanded(part: str, *, room: int) -> list[str]:
    """Every name of one part; the last brackets count fastest."""
    names = [""]
    end = 0
    for match in _BRACKETS.finditer(part):
        numbers = list(_numbers(match[1], part))
        if len(names) * len(numbers) > room:
            raise ValueError(f"`{part}` stands for more than {MOST} hosts")
        names = [f"{name}{part[end : match.start()]}{number}" for name in names for number in numbers]
        end = match.end()
    return [f"{name}{part[end:]}" for name in names]


def _numbers(text: str, part: str) -> Iterator[str]:
    for piece in text.split(","):
        match = _RANGE.fullmatch(piece.strip())
        if match is None:
            raise ValueError(f"`{part}`: `{piece}` is not a number or a range")
        first, last = int(match[1]), int(match[2] or match[1])
        if last < first or last - first >= MOST:
            raise ValueError(f"`{part}`: `{piece}` is not a range")
        yield from (str(number).zfill(len(match[1])) for number in range(first, last + 1))
