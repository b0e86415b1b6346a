"""Steps whose loss is no number, and steps that a loss scaler leaves out. Pure.

How many of them end a run is for limits.py to say.
"""

from __future__ import annotations

from collections import deque

from batchwright_witness.stability.remark import Remark

__all__ = ["Missteps"]

WINDOW = 200
"""Steps over which left-out ones are counted."""
MANY = 10
"""Left-out steps in the window that are named. Our choice; a scaler that fits skips one in 1,000 or 2,000 steps.

Source: torch@2.13.0 torch/amp/grad_scaler.py:GradScaler.__init__ (growth_interval 2000); deepspeed@0.19.8
runtime/fp16/loss_scaler.py:DynamicLossScaler (scale_window 1000).
"""


class Missteps:
    """What a run did not learn from."""

    def __init__(self) -> None:
        self.nonfinite = 0
        """Steps whose loss was nan or infinite, left-out ones aside."""
        self._in_a_row = 0
        self._flags: deque[bool] = deque(maxlen=WINDOW)
        self._has_begun = self._told = False

    def loss(self, step: int, loss: float, *, finite: bool) -> Remark | None:
        """The loss of a step that was done; the first of a row of bad ones is named."""
        self._in_a_row = 0 if finite else self._in_a_row + 1
        if finite:
            return None
        self.nonfinite += 1
        if self._in_a_row > 1:
            return None
        return Remark(
            step, "loss-nonfinite", f"the loss is {loss}, for the {_nth(self.nonfinite)} time in this run"
        )

    def skip(self, step: int, *, skipped: bool) -> Remark | None:
        """Whether a step was left out; those before the first one that was done, a scaler's search, do not count."""
        self._has_begun |= not skipped
        if not self._has_begun:
            return None
        self._flags.append(skipped)
        count = sum(self._flags) if skipped or self._told else 0
        if self._told or count < MANY:
            self._told &= count > 0
            return None
        self._told = True
        words = f"{count} of the last {len(self._flags)} steps were left out: gradients overflow more than now and then"
        return Remark(step, "steps-left-out", words)


def _nth(count: int) -> str:
    ending = "th" if 10 < count % 100 < 14 else {1: "st", 2: "nd", 3: "rd"}.get(count % 10, "th")
    return f"{count}{ending}"
