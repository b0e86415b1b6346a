"""From what a script computes to the one number that goes backward."""

from __future__ import annotations

from typing import Any

from launcher.errors import Problem, WorldError
from launcher.runtime.steps import MicroBatch, misused

__all__ = ["summed"]


def summed(loss: Any, micro: MicroBatch) -> Any:
    """The micro-batch's loss with idle slots left out, a scalar tensor.

    loss: one summed loss per sequence, shape [micro]; or a scalar that has micro.weight in it already.
    Raises WorldError[idle-weight-unused] for a scalar that cannot have it, [loop-misused] for another shape.
    """
    slots = len(micro.weights)
    if loss.dim():
        if tuple(loss.shape) != (slots,):
            raise misused(f"the loss has shape {tuple(loss.shape)}, expected one per sequence, ({slots},)")
        return (loss * micro.weights.to(loss.device)).sum()
    if micro.idle_slots and not micro.weight_was_read:
        message = f"{micro.idle_slots} of {slots} slots idle, and the loss is a scalar that has not seen micro.weight"
        hint = "give run.backward one loss per sequence, or multiply by micro.weight before summing"
        raise WorldError([Problem(code="idle-weight-unused", message=message, hint=hint)])
    return loss
