"""A loss that rises slowly: no step of it stands out, and the level has moved. Pure."""

from __future__ import annotations

from batchwright_witness.stability.drifting import Drift
from batchwright_witness.stability.remark import Remark, number
from batchwright_witness.stability.windows import median, middle_error, spread

__all__ = ["Rising"]

BLOCK = 64
"""Steps whose median is one look at the level."""
ERRORS = 6.0
"""Standard errors of a block's median below which a rise is not named, however alike the blocks were. Our choice."""
FLOOR = 0.02
"""Share of the level below which a rise is not worth a word. Our choice."""


class Rising:
    """The level of one series of losses, held against the lowest it was."""

    def __init__(self) -> None:
        self._block: list[float] = []
        self._level = Drift()

    def see(self, step: int, loss: float) -> Remark | None:
        """A finite loss, and what is to be said of it."""
        self._block.append(loss)
        if len(self._block) < BLOCK:
            return None
        level, error = median(self._block), middle_error(spread(self._block), BLOCK)
        self._block.clear()
        worse = self._level.see(step, level, floor=max(ERRORS * error, FLOOR * abs(level)))
        if worse is None:
            return None
        words = (
            f"the loss rises: {number(level)} in the median of the last {BLOCK} steps, {number(worse.best)} "
            f"around step {worse.step:,}"
        )
        return Remark(step, "loss-rising", words)
