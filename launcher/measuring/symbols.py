"""Exact polynomials from sizes measured under several sets of dimensions: `[560, 3696, ...]` becomes `{"t*h": 4}`.

The sets are in general position (dimensions vary independently), so a monomial is recognised by its ratios between
the sets; what fits no monomial is tried as a sum of two. Nothing is fitted by least squares: a sum that misses one
set by one byte is no fit, and a size without a fit is an error.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from fractions import Fraction
from itertools import combinations, combinations_with_replacement
from math import prod

__all__ = ["Fitter", "InexactError", "Poly", "add", "as_data", "value_of"]

Poly = Mapping[str, Fraction]


class InexactError(ValueError):
    """Measured sizes are no polynomial in the dimensions, or not the one found."""


class Fitter:
    """Finds polynomials over the dimensions of several sets; remembers what it has found."""

    def __init__(self, sets: Sequence[Mapping[str, int]], *, degree: int = 4) -> None:
        self._sets = sets
        self._found: dict[tuple[int, ...], dict[str, Fraction]] = {}
        self._basis: dict[tuple[int, ...], str] = {}
        names = [name for name in sets[0] if name != "1"]
        for count in range(degree + 1):
            for chosen in combinations_with_replacement(names, count):
                values = tuple(prod(each[name] for name in chosen) for each in sets)
                # an earlier name says the same: t before b*s, q before a*d
                self._basis.setdefault(values, "*".join(chosen) or "1")
        self._by_ratio: dict[tuple[Fraction, ...], tuple[str, int]] = {}
        for values, name in self._basis.items():
            self._by_ratio.setdefault(_ratios(values), (name, values[0]))

    def fit(self, sizes: Sequence[int]) -> dict[str, Fraction]:
        """The polynomial that has these values under every set, exactly."""
        key = tuple(sizes)
        if key not in self._found:
            self._found[key] = self._fit(key)
        return self._found[key]

    def _fit(self, sizes: tuple[int, ...]) -> dict[str, Fraction]:
        if not any(sizes):
            return {}
        found = self._by_ratio.get(_ratios(sizes))
        if found is not None:
            return {found[0]: Fraction(sizes[0], found[1])}
        small = [values for values, name in self._basis.items() if name.count("*") <= 2]
        for first, second in combinations(small, 2):
            both = _pair(first, second, sizes)
            if both is not None:
                return {self._basis[first]: both[0], self._basis[second]: both[1]}
        raise InexactError(f"no polynomial has the values {sizes} under {self._sets}")


def _ratios(values: tuple[int, ...]) -> tuple[Fraction, ...]:
    return tuple(Fraction(each, values[0]) for each in values[1:]) if values[0] else ()


def _pair(
    first: tuple[int, ...], second: tuple[int, ...], sizes: tuple[int, ...]
) -> tuple[Fraction, Fraction] | None:
    under = first[0] * second[1] - first[1] * second[0]
    if under == 0:
        return None
    one = sizes[0] * second[1] - sizes[1] * second[0]
    two = first[0] * sizes[1] - first[1] * sizes[0]
    fits = all(one * f + two * s == under * size for f, s, size in zip(first, second, sizes, strict=True))
    if not fits or one == 0 or two == 0:
        return None
    return Fraction(one, under), Fraction(two, under)


def add(polys: Iterable[Poly], *, sign: int = 1) -> dict[str, Fraction]:
    """Sum of polynomials, without the terms that cancel."""
    total: dict[str, Fraction] = {}
    for poly in polys:
        for name, coefficient in poly.items():
            total[name] = total.get(name, Fraction(0)) + sign * coefficient
    return {name: coefficient for name, coefficient in total.items() if coefficient}


def value_of(poly: Poly, sizes: Mapping[str, int]) -> Fraction:
    """Value under one set of dimensions."""
    return sum(
        (
            c * (1 if name == "1" else prod(sizes[each] for each in name.split("*")))
            for name, c in poly.items()
        ),
        start=Fraction(0),
    )


def as_data(poly: Poly) -> dict[str, int | float]:
    """For a file: integers where they are, else the nearest float; the order does not depend on how it was found."""
    return {name: int(c) if c.denominator == 1 else float(c) for name, c in sorted(poly.items(), key=_order)}


def _order(term: tuple[str, Fraction]) -> tuple[int, str]:
    return -len(term[0].split("*")) if term[0] != "1" else 0, term[0]
