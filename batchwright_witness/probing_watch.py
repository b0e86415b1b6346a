"""The witness in a job of `batchwright probe`: it watches as ever, and ends the job after a few optimizer steps."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

from batchwright_witness.watch import Fingerprint, Watch

__all__ = ["ProbingWatch"]


class ProbingWatch(Watch):
    """Counts steps by itself: a probe ends in time even where the witness could watch no further."""

    def __init__(self, *, steps: int, leave: Callable[[int], None], **rest: Any) -> None:
        super().__init__(**rest)
        self._most, self._leave = steps, leave
        self._done: Counter[int] = Counter()
        self._process = os.getpid()

    @property
    def probed_steps(self) -> int:
        """Steps of the optimizer that did most."""
        return max(self._done.values(), default=0)

    def stepped(
        self, owner: Any, rates: Callable[[], Sequence[float]], parameters: Fingerprint = lambda: None
    ) -> None:
        """An optimizer step has been done."""
        super().stepped(owner, rates, parameters)
        if os.getpid() != self._process:
            return
        self._done[id(owner)] += 1
        if self._done[id(owner)] >= self._most:
            self._leave(self._most)
