"""Polynomials over named dimensions, as the ledgers of the catalog write them: `{"t*h": 14, "t*a*s": 6}`."""

from __future__ import annotations

from collections.abc import Mapping
from math import prod

__all__ = ["SHARDED", "Polynomial", "added", "evaluate"]

Polynomial = Mapping[str, float]
"""Monomial (names joined by `*`, "1" for none) to coefficient."""

SHARDED = frozenset({"q", "kv", "f", "a", "G", "V", "v"})
"""Dimensions that tensor-parallel ranks divide: heads, feed-forward width, vocabulary.

Source: Shoeybi et al. 2019, arXiv:1909.08053, section 3 (columns, then rows); Korthikanti et al. 2022,
arXiv:2205.05198, table 2: 34sbh = 10 + 24 / t without sequence parallelism, 34 / t with it.
"""


def added(one: Polynomial, other: Polynomial, factor: float = 1) -> Polynomial:
    """Sum of two polynomials, the second times a factor."""
    total = dict(one)
    for names, value in other.items():
        total[names] = total.get(names, 0) + factor * value
    return total


def evaluate(
    polynomial: Polynomial,
    sizes: Mapping[str, float],
    *,
    tensor: int = 1,
    sequence_parallel: bool = False,
) -> float:
    """Value of a polynomial, in the unit of its coefficients, on one of `tensor` ranks.

    Monomials with a sharded dimension are divided once; the others only where they hold tokens (`t`) and
    sequence_parallel divides those.
    """
    return sum(
        coefficient * _monomial(names, sizes, tensor=tensor, sequence_parallel=sequence_parallel)
        for names, coefficient in polynomial.items()
    )


def _monomial(names: str, sizes: Mapping[str, float], *, tensor: int, sequence_parallel: bool) -> float:
    if names == "1":
        return 1.0
    factors = names.split("*")
    value = prod(sizes[name] for name in factors)
    if tensor == 1:
        return value
    shared = not SHARDED.isdisjoint(factors) or (sequence_parallel and ("t" in factors or "u" in factors))
    return value / tensor if shared else value
