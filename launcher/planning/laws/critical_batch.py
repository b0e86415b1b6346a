"""The critical batch size by data: where a larger batch begins to need more than its share of data."""

from __future__ import annotations

import math

from launcher.planning.laws.answer import Answer, Axis, Law, answered, lacking, out_of_place
from launcher.planning.laws.asked import Asked

__all__ = ["LAW", "SEQUENCE", "TOKENS_PER_PARAMETER", "ask", "critical_sequences"]

SEQUENCE = 512
"""Tokens of one sequence in all runs of the fit."""
TOKENS_PER_PARAMETER = 20

LAW = Law(
    name="critical by data",
    source="arXiv:2410.21676",
    gives="critical batch",
    fitted="85 M to 1.2 B parameters at 20 tokens each, Adam, sequences of 512; a batch that needs 20 % more data than "
    "perfect scaling",
    axes=(Axis(name="D", low=20 * 85e6, high=20 * 1.208e9, what="tokens of the run"),),
)


def critical_sequences(*, million_parameters: float) -> float:
    """Critical batch in sequences of 512 tokens at 20 tokens a parameter, 93.1968 N ** 0.46828.

    Source: Zhang et al. 2024, arXiv:2410.21676 (hlzhang109/critical-batch-size@c5b509d plots/chinchilla.ipynb).
    Checked: 2,000 million parameters: 3,274.9; its five models, which launcher.planning.noise.band.twenty_percent_batch
    gives one by one, within 5 %.
    """
    return 93.1968 * math.pow(million_parameters, 0.46828)


def ask(asked: Asked) -> Answer:
    """The critical batch of this run's tokens: the paper finds that it follows the data, not the model."""
    if misplaced := out_of_place(LAW, asked=asked):
        return misplaced
    if asked.run_tokens is None:
        return lacking(LAW, what="the tokens of the run")
    as_if = asked.run_tokens / TOKENS_PER_PARAMETER / 1e6
    remarks = [f"as of a model of {as_if:,.0f} M parameters, for which this would be 20 tokens each"]
    if asked.parameters is not None:
        by_model = critical_sequences(million_parameters=asked.parameters.matrices / 1e6) * SEQUENCE
        remarks.append(
            f"this model has {asked.run_tokens / asked.parameters.matrices:,.3g} tokens a weight; at 20 of them "
            f"{by_model / 1e6:.3g} M tokens"
        )
    return answered(
        LAW,
        asked=asked,
        inputs={"D": asked.run_tokens},
        batch_tokens=critical_sequences(million_parameters=as_if) * SEQUENCE,
        remarks=tuple(remarks),
    )
