"""Divisors of a share of the batch."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Sequence
from math import isqrt

__all__ = ["divisors", "largest_divisor", "last_fitting"]


def divisors(number: int) -> tuple[int, ...]:
    """All divisors of a positive number, ascending."""
    small = [d for d in range(1, isqrt(number) + 1) if number % d == 0]
    return tuple(sorted({*small, *(number // d for d in small)}))


def largest_divisor(*, number: int, cap: int) -> int:
    """Largest divisor of a number that is at most `cap`."""
    return next(candidate for candidate in range(min(number, cap), 0, -1) if number % candidate == 0)


def last_fitting(sizes: Sequence[int], fits: Callable[[int], bool]) -> int | None:
    """The last of ascending sizes that fits, where every size before one that fits does; None where none does."""
    count = bisect_left(sizes, x=True, key=lambda size: not fits(size))
    return sizes[count - 1] if count else None
