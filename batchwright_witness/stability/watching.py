"""All that is looked at in a training, step by step and evaluation by evaluation. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping

from batchwright_witness.stability.clipping import Clipping
from batchwright_witness.stability.evaluating import Evaluations
from batchwright_witness.stability.missteps import Missteps
from batchwright_witness.stability.remark import Remark
from batchwright_witness.stability.rising import Rising
from batchwright_witness.stability.spikes import Spikes

__all__ = ["Stability"]


class Stability:
    """One training. It names what moves and never changes anything."""

    def __init__(self, *, max_norm: float | None = None, warmup_steps: int = 0) -> None:
        """max_norm: at which gradients are clipped. warmup_steps: in which clipped steps are not judged."""
        self._clipping = Clipping(max_norm, after=warmup_steps)
        self._missteps, self._spikes, self._rising = Missteps(), Spikes(), Rising()
        self._evaluations = Evaluations()

    def stepped(self, step: int, *, loss: float, norm: float | None, skipped: bool) -> Iterator[Remark]:
        """An optimizer step, or one that was left out; whose loss, norm and clipping say nothing then."""
        found = [self._missteps.skip(step, skipped=skipped)]
        if not skipped:
            finite = math.isfinite(loss)
            found += [self._missteps.loss(step, loss, finite=finite), self._clipping.see(step, norm)]
            if finite:
                found += [self._spikes.see(step, loss), self._rising.see(step, loss)]
                self._evaluations.trained(loss)
        yield from (remark for remark in found if remark is not None)

    def begins_stage(self) -> None:
        """Batch or sequence length are others from here on, and so may the losses be: they are looked at afresh."""
        self._spikes, self._rising = Spikes(), Rising()

    def evaluated(
        self, step: int, values: Mapping[str, float]
    ) -> tuple[dict[str, float], tuple[Remark, ...]]:
        """Numbers to log beside the script's own, and what is to be said."""
        derived = self._evaluations.derived(values)
        return derived, tuple(self._evaluations.see(step, {**values, **derived}))
