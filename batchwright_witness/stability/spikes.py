"""Losses that jump up, and whether they come back. Pure.

Not handled here: losses that rise slowly (rising.py), and losses that are no numbers (missteps.py).
"""

from __future__ import annotations

import math

from batchwright_witness.stability.remark import Remark, number
from batchwright_witness.stability.windows import Window, median, spread

__all__ = ["Spikes"]

WINDOW = 128
"""Steps that a loss is compared with.

Source: allenai/OLMo-core@fa6c5014 src/olmo_core/optim/skip_step_optimizer.py:SkipStepOptimizer
(rolling_interval_length 128, sigma_factor 6), which leaves such steps out; here they are only named.
"""
SIGMAS = 6.0
"""Deviations above the middle of the window that make a loss a suspect; the same source."""
USUAL = 0.8
"""Quantile of the window below which no loss is looked at closer; low enough for the steps of an earlier jump."""
LEAST = 32
"""Steps before anything is judged."""
FLOOR = 0.02
"""Share of the loss below which no jump is worth a word, however steady the loss was. Our choice."""
AT_ONCE = (12.0, 0.2)
"""Deviations, and the rise in the logarithm of the loss, from which one step is enough; else it takes two of three.
Our choice: heavy tails of single batches are common, two of them beside each other are not."""
NEAR = 3
"""Steps in which the second suspect makes a spike of the first, and steps that must be well for it to be over."""
BACK = 3.0
"""Deviations above the middle below which a loss counts as well again."""
LONGEST = WINDOW
"""Steps after which a loss that stays up is the new level; that it rose is for rising.py to say."""


class Spikes:
    """The jumps of one series of losses."""

    def __init__(self) -> None:
        self._window = Window(WINDOW)
        self._suspects: list[tuple[int, float]] = []
        self._limit = 0.0
        """Below it a loss is well again; while a spike lasts."""
        self._since: int | None = None
        self._highest = 0.0
        self._well: list[float] = []

    def see(self, step: int, loss: float) -> Remark | None:
        """A finite loss, and what is to be said of it."""
        found = self._goes_on(step, loss) if self._since is not None else self._judged(step, loss)
        self._window.add(loss)  # a jump's losses too: median and spread stand them, and follow when they stay
        return found

    def _judged(self, step: int, loss: float) -> Remark | None:
        # nearly all steps end here, at the price of a look-up
        if len(self._window) < LEAST or loss <= self._window.quantile(USUAL):
            return None
        rise, sigmas, limit = self._stands_out(loss)
        if sigmas <= SIGMAS or rise <= FLOOR:
            return None
        self._suspects = [each for each in self._suspects if step - each[0] < NEAR] + [(step, loss)]
        if len(self._suspects) < 2 and not (sigmas > AT_ONCE[0] and rise > AT_ONCE[1]):
            return None
        return self._begins(sigmas, limit)

    def _stands_out(self, loss: float) -> tuple[float, float, float]:
        """Rise over the middle, the same in deviations, and the loss that would be well again.

        Of logarithms, where all losses are above 0: how far losses scatter goes with how large they are.
        """
        values = self._window.ascending
        if self._window.least > 0:
            logs = [math.log(value) for value in values]
            middle, deviation = median(logs), spread(logs)
            rise = math.log(loss) - middle
            limit = math.exp(middle + max(BACK * deviation, FLOOR))
        else:
            middle, deviation = median(values), spread(values)
            size = max(abs(middle), deviation) or 1.0
            rise = (loss - middle) / size
            limit = middle + max(BACK * deviation, FLOOR * size)
            deviation /= size
        return rise, rise / deviation if deviation else math.inf, limit

    def _begins(self, sigmas: float, limit: float) -> Remark:
        step, highest = self._suspects[0][0], max(loss for _, loss in self._suspects)
        self._since, self._highest, self._limit, self._well = step, highest, limit, []
        self._suspects = []
        far = f"{sigmas:.0f} deviations" if math.isfinite(sigmas) else "far"
        words = (
            f"the loss has jumped to {number(highest)}, {far} above {number(median(self._window.values))}, "
            f"the median of {len(self._window)} steps"
        )
        return Remark(step, "loss-spike", words)

    def _goes_on(self, step: int, loss: float) -> Remark | None:
        assert self._since is not None
        self._highest = max(self._highest, loss)
        self._well = [*self._well, loss] if loss <= self._limit else []
        if len(self._well) == NEAR:
            since, self._since = self._since, None
            words = (
                f"the loss is back at {number(median(self._well))} after {step - NEAR + 1 - since} steps, "
                f"{number(self._highest)} at most"
            )
            return Remark(step, "loss-spike-over", words)
        if step - self._since >= LONGEST:
            self._since = None
        return None
