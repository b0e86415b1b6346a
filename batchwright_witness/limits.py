"""When a training that goes on is worth nothing any more: how many steps in a row, and the words for it. Pure."""

from __future__ import annotations

import math
from collections.abc import Callable

from batchwright_witness.environment import Difference

__all__ = ["LOSS_STEPS", "SKIPPED_STEPS", "Health"]

LOSS_STEPS = 3
"""Steps in a row whose loss is not finite.

One alone may be a batch without any label (cross_entropy's mean over none is nan, its gradient 0): it leaves the
parameters as they are. What has gone into the parameters does not leave them.
Source: torch@2.13.0 aten/src/ATen/native/LossNLL.cpp:nll_loss_out_frame, nll_loss_backward_out_frame.
"""
SKIPPED_STEPS = 40
"""Steps in a row that a loss scaler leaves out.

At the start it skips until its scale fits: from 2**16, or 2**32 at most, the scale is 1 after 32 halvings, and
DeepSpeed forgives two overflows before. A scale below 1 helps no gradient.
Source: torch@2.13.0 torch/amp/grad_scaler.py:GradScaler.__init__ (2**16); deepspeed@0.19.8
runtime/fp16/loss_scaler.py:DynamicLossScaler (2**32, delayed_shift), runtime/precision_config.py (2**16).
"""

_CURES = {
    "loss-not-finite": "look at the samples of that step; a lower learning rate, more warmup, "
    "gradient clipping or bf16 instead of fp16",
    "steps-skipped": "bf16 needs no loss scaling; else look for values beyond 65,504, the largest of fp16",
}


class Health:
    """The latest steps of a training, as one rank knows them."""

    def __init__(self) -> None:
        self.skipped = 0
        """Steps in a row that were left out."""
        self.bad = 0
        """Steps in a row whose loss was not finite."""
        self.first = 0
        """Number of the first of them."""
        self.good_until: float | None = None
        """When the last step with a finite loss was done; seconds since the epoch."""

    def steps(self) -> None:
        """A step was done."""
        self.skipped = 0

    def skips(self) -> None:
        """A loss scaler left a step out."""
        self.skipped += 1

    def looks(self, number: int, *, loss: float, at: float, skipped: bool = False) -> None:
        """The loss of a step is known: a number, nan, or infinite. On a device that is some steps later.

        skipped: it was left out; a loss that is too large only because it was scaled says nothing then, nan does.
        """
        if math.isnan(loss) or (math.isinf(loss) and not skipped):
            self.first = self.first if self.bad else number
            self.bad += 1
        elif not skipped:
            self.bad, self.good_until = 0, at

    def verdict(
        self, *, whose: str, step: int, checkpoint: Callable[[], str | None]
    ) -> tuple[str, Difference] | None:
        """Code and words when it is enough.

        whose: `the loss of rank 1`, or `the loss`. step: the latest one done. checkpoint: finds the latest one from
        before.
        """
        if self.bad >= LOSS_STEPS:
            message = f"{whose} is not finite since optimizer step {self.first}: {self.bad} steps in a row"
            return "loss-not-finite", _words("loss-not-finite", message, checkpoint())
        if self.skipped >= SKIPPED_STEPS:
            message = (
                f"{self.skipped} optimizer steps in a row were skipped after step {step}: gradients overflow"
            )
            return "steps-skipped", _words("steps-skipped", message, checkpoint())
        return None

    def unsaved(self, *, whose: str, checkpoint: str | None) -> Difference:
        """Words for a save that must not happen."""
        message = f"{whose} is not finite since optimizer step {self.first}, and the parameters were about to be saved"
        return _words("loss-not-finite", message, checkpoint)


def _words(code: str, message: str, checkpoint: str | None) -> Difference:
    kept = (
        f"the latest checkpoint from before is `{checkpoint}`"
        if checkpoint
        else "no checkpoint from before is known"
    )
    return Difference(message, (kept,), _CURES[code])
