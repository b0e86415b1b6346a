"""How many steps have their gradient clipped. Pure."""

from __future__ import annotations

from collections import deque

from batchwright_witness.stability.remark import Remark, number
from batchwright_witness.stability.windows import Window

__all__ = ["Clipping"]

WINDOW = 256
"""Steps over which the share is taken."""
MUCH = 0.5
"""Share of clipped steps above which it is named.

Source: google-research/tuning_playbook@7554a51 README.md, "How can optimization failures be debugged and mitigated?":
more than half of the updates clipped is "extremely aggressive", "a strange way of reducing the learning rate".
"""
LESS = 0.35
"""Share below which it is named again. Lower, so that a share near the limit is not named over and over."""
USUAL = 0.9
"""Quantile of gradient norms that the same source starts a threshold from."""


class Clipping:
    """The gradient norms of a run, before clipping at max_norm."""

    def __init__(self, max_norm: float | None, *, after: int = 0) -> None:
        """after: steps that are not judged, those of a warmup."""
        self._max_norm, self._after = max_norm, after
        self._flags: deque[bool] = deque(maxlen=WINDOW)
        self._norms = Window(WINDOW)
        self._much = self._told_unknown = False

    def see(self, step: int, norm: float | None) -> Remark | None:
        """The norm of a step, and what is to be said of it."""
        if self._max_norm is None:
            return None
        if norm is None:
            return self._unknown(step)
        if step <= self._after or not norm < float("inf"):
            return None
        self._flags.append(norm > self._max_norm)
        self._norms.add(norm)
        return self._judged(step) if len(self._flags) == WINDOW else None

    def _unknown(self, step: int) -> Remark | None:
        if self._told_unknown:
            return None
        self._told_unknown = True
        words = (
            f"gradients are clipped at {number(self._max_norm or 0.0)} and their norm is not known: "
            "the engine keeps none (DeepSpeed at stage 0 in fp32), so nobody counts the clipped steps"
        )
        return Remark(step, "norm-unknown", words)

    def _judged(self, step: int) -> Remark | None:
        share = sum(self._flags) / WINDOW
        if self._much == (share > (LESS if self._much else MUCH)):
            return None
        self._much = not self._much
        shown = (
            f"{100 * share:.0f} % of the last {WINDOW} steps were clipped at {number(self._max_norm or 0.0)}"
        )
        if not self._much:
            return Remark(step, "clipping-less", f"{shown}, no longer more than half")
        usual = number(self._norms.quantile(USUAL))
        words = f"{shown}: more than half; 90 % of their gradient norms are below {usual}"
        return Remark(step, "clipping-much", words)
