"""The critical batch size by loss."""

from __future__ import annotations

import math

from launcher.planning.laws.answer import Answer, Axis, Law, answered, lacking, out_of_place
from launcher.planning.laws.asked import Asked

__all__ = ["LAW", "ask", "critical_batch_tokens"]

LAW = Law(
    name="critical by loss",
    source="arXiv:2001.08361",
    gives="critical batch",
    fitted="768 to 1.5 B parameters on WebText2 with its own vocabulary, on which a loss depends; twice the data and "
    "twice the fewest steps",
    axes=(
        Axis(name="N", low=768, high=1.5e9, what="parameters without embeddings"),
        Axis(name="D", low=22e6, high=23e9, what="tokens of the data"),
    ),
)


def critical_batch_tokens(*, loss: float) -> float:
    """Critical batch in tokens at a training loss in nats per token, 2e8 / loss ** (1 / 0.21).

    Source: Kaplan et al. 2020, arXiv:2001.08361 equation 1.4, as secondary texts give its constants.
    Checked: it doubles for every 13 % that the loss falls (their figure 10).
    """
    return 2e8 / math.pow(loss, 1 / 0.21)


def ask(asked: Asked) -> Answer:
    """The critical batch at the loss that was given."""
    if misplaced := out_of_place(LAW, asked=asked):
        return misplaced
    if asked.loss is None:
        return lacking(LAW, what="a training loss in nats per token (--loss 2.5)")
    if asked.run_tokens is None:
        return lacking(LAW, what="the tokens of the run")
    if asked.parameters is None:
        return lacking(LAW, what="how many parameters are no embeddings")
    return answered(
        LAW,
        asked=asked,
        inputs={"N": asked.parameters.matrices, "D": asked.run_tokens, "L": asked.loss},
        batch_tokens=critical_batch_tokens(loss=asked.loss),
        remarks=(f"at a loss of {asked.loss:g}; it grows as the loss falls",),
    )
