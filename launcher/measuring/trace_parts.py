"""Traces of one module at several sizes, put together: parts with polynomials instead of numbers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from launcher.measuring.trace_fit import Fit, Size, fitted, value
from launcher.measuring.trace_step import Piece, StepTrace

__all__ = ["Differs", "Row", "composed", "fit_parts", "grown", "rows_of"]

_NUMBERS = (
    "parameters",
    "parameter_bytes",
    "trained",
    "largest",
    "tied",
    "gradient_bytes",
    "tied_bytes",
    "saved",
    "boundary",
)
_LISTS = ("forward", "loss", "fresh", "beyond")


class Differs(Exception):  # noqa: N818 - an answer, not a failure
    """Two traces that should be alike are not; the words say how."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """Equal pieces in a row, traced at several sizes."""

    unit: str
    """Path of one of them; empty between blocks."""
    repeat: int
    numbers: Mapping[str, tuple[int, ...]]
    """Name to what it is at every size."""
    lists: Mapping[str, tuple[tuple[int, ...], ...]]
    """Name to operations, each at every size."""

    def like(self, other: Row) -> bool:
        """Whether both are the same block again.

        Autocast's copies of biases, alive until its end, make the forward pass of every block a little larger.
        """
        return (
            bool(self.unit) == bool(other.unit)
            and self.numbers == other.numbers
            and all(set(self.lists[name]) == set(other.lists[name]) for name in _LISTS if name != "forward")
        )


def rows_of(traces: Sequence[StepTrace]) -> tuple[Row, ...]:
    """Pieces of the same module traced at several sizes, equal ones in a row taken together.

    Raises Differs where the module does other things at another size.
    """
    rows = [_row(each) for each in _side_by_side(traces)]
    return _taken_together(_without_gaps(rows))


def grown(
    fewer: Sequence[Row], more: Sequence[Row], *, layers: tuple[int, int]
) -> list[tuple[Row, int, int]]:
    """Rows with how often they repeat: `constant + slope x layers`, from two depths.

    Raises Differs where the two are not the same rows.
    """
    if len(fewer) != len(more) or not all(a.like(b) for a, b in zip(fewer, more, strict=True)):
        raise Differs(f"{layers[0]} and {layers[1]} layers are not the same blocks")
    found = []
    for a, b in zip(fewer, more, strict=True):
        slope, rest = divmod(b.repeat - a.repeat, layers[1] - layers[0])
        if rest:
            raise Differs(f"`{b.unit}` repeats {a.repeat} and {b.repeat} times")
        both = replace(b, lists={name: a.lists[name] + b.lists[name] for name in _LISTS})
        found.append((both, a.repeat - slope * layers[0], slope))
    return found


def fit_parts(rows: Iterable[tuple[Row, int, int]], fit: Fit) -> list[dict[str, Any]]:
    """Parts as the trace file holds them."""
    found = []
    for row, constant, slope in rows:
        part: dict[str, Any] = {"unit": _any_number(row.unit), "repeat": _line(constant, slope)}
        part.update({name: fit.polynomial(row.numbers[name]) for name in _NUMBERS})
        part.update({name: fitted(fit, row.lists[name]) for name in _LISTS})
        found.append(part)
    return found


def composed(
    parts: Sequence[Mapping[str, Any]], size: Size, *, layers: int, others: Sequence[Mapping[str, float]]
) -> dict[str, int]:
    """What parts come to at one size: bytes saved, and peaks of forward and backward pass.

    others: batch and buffers, which are there from the start.
    """

    def of(part: Mapping[str, Any], name: str) -> int:
        return round(value(part[name], size))

    def most(part: Mapping[str, Any], name: str) -> int | None:
        return max((round(value(each, size)) for each in part[name]), default=None)

    repeats = [part["repeat"].get("1", 0) + part["repeat"].get("n", 0) * layers for part in parts]
    weights = sum(r * of(p, "parameter_bytes") for p, r in zip(parts, repeats, strict=True))
    base = weights + sum(round(value(each, size)) for each in others)
    before = [base]
    for part, repeat in zip(parts, repeats, strict=True):
        before.append(before[-1] + repeat * of(part, "saved"))
    forward, backward, after = [base], [base], 0
    for at in range(len(parts) - 1, -1, -1):
        part, repeat = parts[at], repeats[at]
        saved, gradient = of(part, "saved"), of(part, "gradient_bytes")
        forward += [held + before[at + 1] for held in [most(part, "forward")] if held is not None]
        forward += [held + before[-1] for held in [most(part, "loss")] if held is not None]
        for left in (repeat, 1):
            held = most(part, "fresh")
            if held is not None:
                backward.append(before[at] + left * saved + after + (repeat - left) * gradient + held)
        after += repeat * gradient + of(part, "tied_bytes")
    return {
        "saved_bytes": before[-1] - base,
        "gradient_bytes": sum(r * of(p, "gradient_bytes") for p, r in zip(parts, repeats, strict=True)),
        "parameter_bytes": weights,
        "forward_peak": max(forward),
        "backward_peak": max(backward),
    }


def _any_number(path: str) -> str:
    """A block's path with `*` for its number: the trace may have fewer blocks than the module."""
    return ".".join("*" if part.isdigit() else part for part in path.split("."))


def _line(constant: int, slope: int) -> dict[str, int]:
    return {name: number for name, number in (("1", constant), ("n", slope)) if number}


def _side_by_side(traces: Sequence[StepTrace]) -> list[list[Piece]]:
    shapes = [[(piece.unit, piece.kind) for piece in trace.pieces] for trace in traces]
    if any(shape != shapes[0] for shape in shapes):
        raise Differs("other blocks run at another size")
    return [list(pieces) for pieces in zip(*(trace.pieces for trace in traces), strict=True)]


def _row(pieces: Sequence[Piece]) -> Row:
    lists = {}
    for name in _LISTS:
        columns = [getattr(piece, name) for piece in pieces]
        if len({len(column) for column in columns}) > 1:
            raise Differs("another number of operations runs at another size")
        lists[name] = tuple(dict.fromkeys(zip(*columns, strict=True)))
    return Row(
        unit=pieces[0].unit,
        repeat=1,
        numbers={name: tuple(getattr(piece, name) for piece in pieces) for name in _NUMBERS},
        lists=lists,
    )


def _without_gaps(rows: Sequence[Row]) -> list[Row]:
    """What runs between two blocks and keeps nothing joins the block before it; the ends stay."""
    found: list[Row] = []
    for at, row in enumerate(rows):
        empty = not row.unit and not any(map(any, row.numbers.values()))
        if empty and 0 < at < len(rows) - 1:
            found[-1] = _joined(found[-1], row)
        else:
            found.append(row)
    return found


def _taken_together(rows: Sequence[Row]) -> tuple[Row, ...]:
    found: list[Row] = []
    for row in rows:
        if found and row.unit and found[-1].like(row):
            found[-1] = replace(_joined(found[-1], row), repeat=found[-1].repeat + 1)
        else:
            found.append(row)
    return tuple(found)


def _joined(first: Row, second: Row) -> Row:
    both = {name: tuple(dict.fromkeys(first.lists[name] + second.lists[name])) for name in _LISTS}
    return replace(first, lists=both)
