"""A number that is looked at now and then, and gets worse. Pure."""

from __future__ import annotations

import itertools
import math
from typing import NamedTuple

from batchwright_witness.stability.windows import median, spread

__all__ = ["Drift", "Worse"]

LOOKS = 3
"""Looks in a row that must be worse than the best."""
LEAST = 5
"""Looks before anything is judged: their scatter is not known before."""
KEPT = 33
"""Latest looks whose scatter counts."""
DEVIATIONS = 5.0
"""By how many of its own deviations it must be worse. Our choice."""


class Worse(NamedTuple):
    """From a best value to the present one."""

    step: int
    """Of the best."""
    best: float
    now: float


class Drift:
    """A series in which smaller is better; hand in the negative of one in which larger is.

    It is worse when three looks in a row are beyond the best median of three by 5 deviations, and by `floor`. The
    deviation of a look is estimated from the differences of neighbours, over sqrt(2): a steady trend does not count.
    """

    def __init__(self) -> None:
        self._looks: list[tuple[int, float]] = []
        self._best: tuple[int, float] | None = None

    def see(self, step: int, value: float, *, floor: float, least: float = -math.inf) -> Worse | None:
        """A finite value. floor: absolute. least: a best below it counts as this much.

        What was named is what comes after it is held against: it is named again when it gets worse by as much again.
        """
        self._looks = [*self._looks, (step, value)][-KEPT:]
        if len(self._looks) < LEAST:
            self._improve()
            return None
        values = [each for _, each in self._looks]
        steps = [after - before for before, after in itertools.pairwise(values)]
        limit = max(DEVIATIONS * spread(steps) / math.sqrt(2), floor)
        assert self._best is not None
        at, best = self._best[0], max(self._best[1], least)
        if min(values[-LOOKS:]) - best <= limit:
            self._improve()
            return None
        self._best = (self._looks[-2][0], median(values[-LOOKS:]))
        return Worse(at, best, value)

    def _improve(self) -> None:
        """The best median of three neighbours: one lucky look is not what later ones are held against."""
        if len(self._looks) < LOOKS:
            return
        latest = self._looks[-LOOKS:]
        middle = median([value for _, value in latest])
        if self._best is None or middle < self._best[1]:
            self._best = (latest[1][0], middle)
