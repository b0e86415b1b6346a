"""LLaMA-Factory: a learning rate for fine-tuning from the loss-bearing tokens of a step."""

from __future__ import annotations

import math

from launcher.planning.laws.answer import Answer, Law, answered, out_of_place
from launcher.planning.laws.asked import Asked

__all__ = ["LAW", "ask", "learning_rate"]

LAW = Law(
    name="LLaMA-Factory",
    source="hiyouga/LLaMA-Factory scripts/stat_utils/cal_lr.py",
    gives="heuristic",
    fitted="nothing: a base rate of LLaMA 7B and 13B (its comment: half of it at 30B to 70B) moved by a square root; "
    "for fine-tuning",
)


def learning_rate(
    *, cutoff_length: int, batch: int, valid_ratio: float = 1.0, is_mistral_or_gemma: bool = False
) -> float:
    """Learning rate 3e-4 sqrt(loss-bearing tokens per step / 4e6), a sixth of it for Mistral and Gemma.

    Source: hiyouga/LLaMA-Factory scripts/stat_utils/cal_lr.py:calculate_lr.
    """
    rate = 3e-4 * math.sqrt(cutoff_length * batch * valid_ratio / 4_000_000)
    return rate / 6.0 if is_mistral_or_gemma else rate


def ask(asked: Asked) -> Answer:
    """Its learning rate at the recipe's own batch."""
    if misplaced := out_of_place(LAW, asked=asked, tuning=True):
        return misplaced
    assert asked.sequence_length is not None
    share = asked.loss_token_share
    rate = learning_rate(
        cutoff_length=asked.sequence_length, batch=asked.batch_sequences, valid_ratio=share or 1.0
    )
    remark = "every token counted" if share is None else f"{share:.0%} of the tokens bear loss"
    return answered(
        LAW,
        asked=asked,
        inputs={},
        learning_rate=rate,
        remarks=(f"at the recipe's batch, {remark}; a sixth of it for Mistral and Gemma",),
    )
