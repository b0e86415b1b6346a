"""The latest values of a series, with their middle and their spread. Pure."""

from __future__ import annotations

import math
from bisect import bisect_left, insort
from collections import deque
from collections.abc import Sequence

__all__ = ["SIGMA", "Window", "median", "middle_error", "spread"]

SIGMA = 1.4826
"""Standard deviation of a normal distribution over its median absolute deviation, dimensionless: 1 / 0.67449."""


class Window:
    """The last `size` values; the oldest leaves when a new one comes."""

    def __init__(self, size: int) -> None:
        self._order: deque[float] = deque(maxlen=size)
        self._sorted: list[float] = []

    def __len__(self) -> int:
        return len(self._sorted)

    def add(self, value: float) -> None:
        """A finite number."""
        if len(self._order) == self._order.maxlen:
            del self._sorted[bisect_left(self._sorted, self._order[0])]
        self._order.append(value)
        insort(self._sorted, value)

    @property
    def values(self) -> Sequence[float]:
        """In the order they came."""
        return tuple(self._order)

    @property
    def least(self) -> float:
        """The smallest value."""
        return self._sorted[0]

    @property
    def ascending(self) -> Sequence[float]:
        """From the smallest to the largest."""
        return self._sorted

    def quantile(self, share: float) -> float:
        """The smallest value that this share of the values does not exceed."""
        return self._sorted[max(0, math.ceil(share * len(self._sorted)) - 1)]


def median(values: Sequence[float]) -> float:
    """The middle of values in any order; the mean of the two in the middle where there are two."""
    ordered, half = sorted(values), len(values) // 2
    return ordered[half] if len(ordered) % 2 else (ordered[half - 1] + ordered[half]) / 2


def spread(values: Sequence[float]) -> float:
    """Standard deviation that few far values cannot move: 1.4826 times the median distance from the median."""
    middle = median(values)
    return SIGMA * median([abs(value - middle) for value in values])


def middle_error(deviation: float, count: int) -> float:
    """Standard error of a median of normal values: sqrt(pi / 2) deviation / sqrt(count), for many of them."""
    return math.sqrt(math.pi / 2) * deviation / math.sqrt(count)
