"""What `batchwright doctor` prints: hosts side by side, what is wrong with each, and the short collective."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from launcher.errors import Problem
from launcher.reporting.columns import WIDTH, labelled
from launcher.spec.checkup import Cell, Checkup, Collective, Row

__all__ = ["doctor_lines"]

_GAP = 2
_MARK = "<- "

Paint = Callable[[str, str], str]
_COLOURS = {"bad": "31", "note": "33"}


def doctor_lines(checkup: Checkup, *, colour: bool = False) -> list[str]:
    """The whole page, at most 100 columns where words allow it: the answer first."""

    def paint(text: str, state: str) -> str:
        code = _COLOURS.get(state)
        return f"\x1b[{code}m{text}\x1b[0m" if colour and code else text

    lines = [_verdict(checkup)]
    if checkup.rows:
        lines += ["", *_tables(checkup, paint)]
    if checkup.collective is not None:
        lines += ["", *_collective(checkup.collective)]
    if checkup.notes:
        lines += ["", *labelled("note", checkup.notes)]
    if checkup.problems:
        lines += ["", *_problems(checkup.problems, paint)]
    return lines


def _verdict(checkup: Checkup) -> str:
    hosts, errors = len(checkup.hosts), _count(checkup.problems, "error")
    warnings = _count(checkup.problems, "warning")
    where = f"{hosts} host{'s' if hosts != 1 else ''}, {checkup.executor}"
    if checkup.hosts == (checkup.executor,):
        where = f"{checkup.executor}, hosts not known yet"
    took = f"{checkup.seconds:.1f} s"
    words = [f"{errors} problem{'s' if errors != 1 else ''}"] if errors else []
    words += [f"{warnings} warning{'s' if warnings != 1 else ''}"] if warnings else []
    what = ", ".join(words) or "all well"
    head = "ready" if not errors else "not ready"
    return f"{head}   {what}   {where}, {took}   plan {checkup.plan_hash[:6]}"


def _count(problems: Sequence[Problem], severity: str) -> int:
    return sum(problem.severity == severity for problem in problems)


def _problems(problems: Sequence[Problem], paint: Paint) -> list[str]:
    """Errors first; each with what it rests on and its one hint."""
    lines = []
    for problem in sorted(problems, key=lambda each: each.severity != "error"):
        state = "bad" if problem.severity == "error" else "note"
        label = "problem" if state == "bad" else "warning"
        paragraphs = str(problem).splitlines()
        first, *rest = labelled(label, paragraphs)
        lines += [paint(first[:8], state) + first[8:], *rest]
    return lines


# one table, hosts side by side


def _tables(checkup: Checkup, paint: Paint) -> list[str]:
    """One table, or several below one another where the hosts do not fit beside each other."""
    groups = _alike(checkup)
    names = max((len(row.name) for row in checkup.rows), default=0)
    columns = [_column(checkup, group) for group in groups]
    lines: list[str] = []
    while columns:
        fitting = _fitting(columns, WIDTH - names)
        if lines:
            lines.append("")
        lines += _table(checkup.rows, columns[:fitting], names, paint)
        columns = columns[fitting:]
    return lines


def _alike(checkup: Checkup) -> list[list[int]]:
    """Hosts whose checks all gave the same, together; a host with anything to say stands alone."""
    groups: dict[tuple[object, ...], list[int]] = {}
    for at in range(len(checkup.hosts)):
        cells = [row.cells[at] for row in checkup.rows]
        quiet = all(cell.state == "ok" for cell in cells)
        key = tuple(cell.found if cell.amount is None else "" for cell in cells)
        groups.setdefault(key if quiet else (at,), []).append(at)
    return list(groups.values())


def _column(checkup: Checkup, group: Sequence[int]) -> tuple[str, list[Cell]]:
    """Heading and cells of hosts that are alike."""
    names = [checkup.hosts[at] for at in group]
    head = names[0] if len(names) == 1 else f"{names[0]} (+{len(names) - 1})"
    return head, [_one(row, group) for row in checkup.rows]


def _one(row: Row, group: Sequence[int]) -> Cell:
    """One cell for all of a group; of measured ones the range."""
    cells = [row.cells[at] for at in group]
    amounts = sorted((cell for cell in cells if cell.amount is not None), key=lambda cell: cell.amount or 0.0)
    if not amounts or amounts[0].found == amounts[-1].found:
        return cells[0]
    low, high = amounts[0].found, amounts[-1].found
    unit = re.search(r" \S+$", high)
    if unit and low.endswith(unit[0]):
        low = low[: -len(unit[0])]
    return Cell(found=f"{low} to {high}", state=cells[0].state)


def _shown(cell: Cell) -> str:
    return f"{cell.found}  {_MARK}{cell.why}" if cell.why else cell.found


def _widths(columns: Sequence[tuple[str, list[Cell]]]) -> list[int]:
    return [max([len(head), *(len(_shown(cell)) for cell in cells)]) for head, cells in columns]


def _fitting(columns: Sequence[tuple[str, list[Cell]]], width: int) -> int:
    """How many columns stand beside each other; at least one."""
    room, count = width, 0
    for size in _widths(columns):
        room -= size + _GAP
        if room < 0:
            break
        count += 1
    return max(1, count)


def _table(
    rows: Sequence[Row], columns: Sequence[tuple[str, list[Cell]]], names: int, paint: Paint
) -> list[str]:
    widths = _widths(columns)
    gap = " " * _GAP
    head = gap.join(
        [" " * names, *(name.ljust(size) for (name, _), size in zip(columns, widths, strict=True))]
    )
    lines = [head.rstrip()]
    for at, row in enumerate(rows):
        cells = [cells[at] for _, cells in columns]
        parts = [row.name.ljust(names)]
        for cell, size in zip(cells, widths, strict=True):
            text = _shown(cell)
            parts.append(paint(text, cell.state) + " " * (size - len(text)))
        lines.append(gap.join(parts).rstrip())
    return lines


# the short collective


def _collective(found: Collective) -> list[str]:
    size = found.tensor_bytes / 2**20
    ranks = f"{found.world_size} rank{'s' if found.world_size != 1 else ''}"
    how = f"{size:g} MiB, {ranks}, {found.engine} over {found.backend}"
    lines = [f"all-reduce  {how}   {found.seconds:.0f} s with its start"]
    width = max(len(rate.host) for rate in found.hosts)
    for rate in found.hosts:
        words = [f"{_rate(rate.within)} within" if rate.within else "", _between(rate.between)]
        slow = f"  {_MARK}slowest" if rate.host == found.slowest else ""
        shown = ", ".join(word for word in words if word) or "one rank, nothing to reduce"
        lines.append(f"            {rate.host:<{width}}  {shown}{slow}")
    return lines


def _between(rate: float | None) -> str:
    return f"{_rate(rate)} to its neighbour" if rate else ""


def _rate(bytes_per_second: float) -> str:
    scaled = bytes_per_second / 1e9
    return f"{scaled:.1f} GB/s" if scaled >= 1 else f"{bytes_per_second / 1e6:.0f} MB/s"
