"""Whether steps have become slow, and which rank the others wait for. Pure."""

from __future__ import annotations

import statistics
from collections import deque
from collections.abc import Callable, Sequence

from launcher.handoff.guard.lateness import Beat

__all__ = ["FACTOR", "IN_A_ROW", "Slowness"]

FACTOR = 1.3
"""Times the planned, or the usual, seconds of a step: what counts as slow."""
IN_A_ROW = 3
"""Slow looks in a row that make an episode: one alone is a hiccup of a disk or a neighbour."""
_USUAL = 20  # looks that make the usual
_ENOUGH = 5  # looks before anything is usual
_APART = 1.2  # times the others' median: a rank that stands out


class Slowness:
    """Steps of one job, seen once a second at most.

    stage_of: stage of an optimizer step, numbered from 1. Steps of another batch take another time: what is usual is
    found anew in every stage.
    """

    def __init__(
        self, *, planned_seconds: float | None = None, stage_of: Callable[[int], int] = lambda _step: 0
    ) -> None:
        self._planned, self._stage_of, self._stage = planned_seconds, stage_of, 0
        self._usual: deque[float] = deque(maxlen=_USUAL)
        self._slow: list[float] = []
        self._seen = 0

    def see(self, beats: Sequence[Beat]) -> str | None:
        """Words, once an episode, when steps have been slow for a few looks."""
        step = max((beat.steps for beat in beats), default=0)
        timed = [beat.seconds for beat in beats if beat.seconds is not None]
        if step == self._seen or len(timed) < len(beats) or not timed:
            return None
        self._seen, seconds = step, max(timed)
        if (stage := self._stage_of(step)) != self._stage:
            self._stage = stage
            self._usual.clear()
            self._slow.clear()
        usual = self._expected()
        if usual is None or seconds <= FACTOR * usual:
            self._slow.clear()
            self._usual.append(seconds)
            return None
        self._slow.append(seconds)  # and not among the usual ones: what is slow for long stays slow
        if len(self._slow) != IN_A_ROW:
            return None
        return f"step {step} took {seconds:.3g} s, {seconds / usual:.1f} x {self._basis(usual)}: {_slowest(beats)}"

    def _expected(self) -> float | None:
        if self._planned is not None:
            return self._planned
        return statistics.median(self._usual) if len(self._usual) >= _ENOUGH else None

    def _basis(self, usual: float) -> str:
        if self._planned is not None:
            return f"the planned {usual:.3g} s"
        return f"the usual {usual:.3g} s (median of {len(self._usual)} looks; no time is planned)"


def _slowest(beats: Sequence[Beat]) -> str:
    """The rank that works longest before it waits."""
    busy = {beat: beat.busy for beat in beats if beat.busy is not None}
    if len(beats) < 2 or len(busy) < len(beats):
        return "this job has one rank" if len(beats) == 1 else "which rank is slow is not known"
    slowest = max(busy, key=lambda beat: busy[beat])
    others = statistics.median(seconds for beat, seconds in busy.items() if beat is not slowest)
    if busy[slowest] <= _APART * others:
        return "no rank stands out, each works as long as the others"
    return (
        f"rank {slowest.rank} on {slowest.host} works {busy[slowest]:.3g} s before it shares gradients, "
        f"the others {others:.3g} s"
    )
