"""Traced numbers as polynomials of micro-batch and length: fitted at small sizes, held against others."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import product

__all__ = ["Fit", "Size", "fitted", "value"]

Polynomial = Mapping[str, float]

_BATCH, _LENGTH = ("", "b"), ("", "s", "s*s")
_NAMES = {"": "1", "bs": "t", "bs*s": "t*s"}


@dataclass(frozen=True, slots=True, order=True)
class Size:
    """One place of the grid: micro-batch size and sequence length."""

    batch: int
    length: int = 1


@dataclass(frozen=True, slots=True)
class Fit:
    """How to turn numbers traced at `sizes` into coefficients: exactly one polynomial goes through them.

    In b as many powers as there are batches, in s as there are lengths: at most 1 and b, at most 1, s and s*s.
    """

    batches: tuple[int, ...]
    lengths: tuple[int, ...]

    @property
    def sizes(self) -> tuple[Size, ...]:
        """Where to trace, batch by batch."""
        return tuple(Size(batch, length) for batch, length in product(self.batches, self.lengths))

    def polynomial(self, values: Sequence[int]) -> dict[str, float]:
        """Coefficients by monomial (`t` is b*s), of numbers traced at `sizes`."""
        width = len(self.lengths)
        rows = [_powers(self.lengths, values[at : at + width]) for at in range(0, len(values), width)]
        columns = [_powers(self.batches, column) for column in zip(*rows, strict=True)]
        found: dict[str, float] = {}
        for length, column in zip(_LENGTH, columns, strict=False):
            for batch, coefficient in zip(_BATCH, column, strict=False):
                if coefficient:
                    name = _NAMES.get(batch + length, batch + length)
                    found[name] = int(coefficient) if coefficient.denominator == 1 else float(coefficient)
        return found


def _powers(points: Sequence[int], values: Sequence[Fraction | int]) -> list[Fraction]:
    """Coefficients of 1, x, x*x ... through the points (Newton's divided differences)."""
    divided = [Fraction(each) for each in values]
    for step in range(1, len(points)):
        for at in range(len(points) - 1, step - 1, -1):
            divided[at] = (divided[at] - divided[at - 1]) / (points[at] - points[at - step])
    found = [Fraction(0)] * len(points)
    for at in range(len(points) - 1, -1, -1):
        # found * (x - point) + divided
        moved = [Fraction(0), *found[:-1]]
        found = [up - points[at] * stay for up, stay in zip(moved, found, strict=True)]
        found[0] += divided[at]
    return found


def value(polynomial: Polynomial, size: Size) -> float:
    """Of a polynomial, at one size."""
    known = {"b": size.batch, "s": size.length, "t": size.batch * size.length, "1": 1}
    total: float = 0
    for names, coefficient in polynomial.items():
        term = coefficient
        for name in names.split("*"):
            term *= known[name]
        total += term
    return total


def fitted(fit: Fit, rows: Iterable[Sequence[int]]) -> list[dict[str, float]]:
    """Polynomials of operations, each given at all sizes: those that are the largest at some size.

    Sizes looked at: powers of four up to 4096 micro-batches and 1 Mi tokens, and those of the fit.
    """
    found = [fit.polynomial(row) for row in sorted({tuple(row) for row in rows})]
    batches = [4**n for n in range(7)] if len(fit.batches) > 1 else []
    lengths = [4**n for n in range(11)] if len(fit.lengths) > 1 else []
    grid = product({*batches, *fit.batches}, {*lengths, *fit.lengths})
    winners = {_largest(found, Size(batch, length)): None for batch, length in grid} if found else {}
    return [found[at] for at in sorted(winners)]


def _largest(polynomials: Sequence[Polynomial], size: Size) -> int:
    return max(range(len(polynomials)), key=lambda at: value(polynomials[at], size))
