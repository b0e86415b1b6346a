"""Text in columns: labelled lines and tables that stay within 100 characters."""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["WIDTH", "labelled", "table", "wrapped"]

WIDTH = 100
_LABEL = 8
_GAP = 2


def wrapped(text: str, *, width: int, hang: int = 0) -> list[str]:
    """Lines of at most width characters, broken at spaces; a longer word stays whole. hang: indent of later lines.

    Runs of spaces inside a line are kept: they align things.
    """
    lines: list[str] = []
    rest = text
    while len(rest) > width:
        at = rest.rfind(" ", len(rest) - len(rest.lstrip()) + 1, width + 1)
        if at <= 0:
            at = rest.find(" ", width)
            if at < 0:
                break
        lines.append(rest[:at].rstrip())
        rest = " " * hang + rest[at:].lstrip()
    return [*lines, rest]


def labelled(label: str, paragraphs: Sequence[str], *, hang: int = 2) -> list[str]:
    """Paragraphs beside a label of at most seven characters; what is too long for a line hangs by `hang`."""
    lines = [line for paragraph in paragraphs for line in wrapped(paragraph, width=WIDTH - _LABEL, hang=hang)]
    return [f"{label if at == 0 else '':<{_LABEL}}{line}".rstrip() for at, line in enumerate(lines)]


def table(header: Sequence[str], rows: Sequence[Sequence[str]], *, width: int = WIDTH) -> list[str]:
    """Columns with a heading; cells are wrapped where the widest columns have to give way."""
    cells = [list(header), *(list(row) for row in rows)]
    widths = [max(len(row[at]) for row in cells) for at in range(len(header))]
    longest_words = [
        max(len(word) for row in cells for word in row[at].split(" ")) for at in range(len(header))
    ]
    while sum(widths) + _GAP * (len(widths) - 1) > width:
        room = [size - least for size, least in zip(widths, longest_words, strict=True)]
        if max(room) <= 0:
            break
        widest = max(range(len(widths)), key=lambda at: (room[at] > 0, widths[at]))
        widths[widest] -= 1
    return [line for row in cells for line in _row(row, widths)]


def _row(row: Sequence[str], widths: Sequence[int]) -> list[str]:
    columns = [wrapped(cell, width=size) for cell, size in zip(row, widths, strict=True)]
    height = max(len(column) for column in columns)
    gap = " " * _GAP
    return [
        gap.join(
            (column[at] if at < len(column) else "").ljust(size)
            for column, size in zip(columns, widths, strict=True)
        ).rstrip()
        for at in range(height)
    ]
