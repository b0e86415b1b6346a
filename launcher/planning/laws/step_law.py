"""Step Law: learning rate from model and data, batch from the data alone."""

from __future__ import annotations

import math

from launcher.planning.laws.answer import Answer, Axis, Law, answered, lacking, out_of_place
from launcher.planning.laws.asked import Asked

__all__ = [
    "LAW",
    "ask",
    "batch_tokens",
    "bootstrap_batch_tokens",
    "bootstrap_learning_rate",
    "learning_rate",
]

LAW = Law(
    name="Step Law",
    source="arXiv:2503.04715",
    gives="optimum",
    fitted="1,911 dense decoders, AdamW, sequences of 2,048, cosine to a rate of 1e-5 whatever the peak",
    axes=(
        Axis(name="N", low=214_663_680, high=1_073_741_824, what="weights of the layers"),
        Axis(name="D", low=4e9, high=1e11, what="tokens of the run"),
    ),
)
"""Ranges: step-law/steplaw@32a8f4c data/dense_lr_bs_loss.csv, all rows; `_mlr1.00e-05` in its experiment names."""


def learning_rate(*, matrices: float, tokens: float) -> float:
    """Best peak learning rate, 1.79 N ** -0.713 D ** 0.307, dimensionless; N without embeddings.

    Source: Li et al. 2025, arXiv:2503.04715, closed form of the abstract.
    """
    return 1.79 * math.pow(matrices, -0.713) * math.pow(tokens, 0.307)


def batch_tokens(*, tokens: float) -> float:
    """Best batch in tokens per step, 0.58 D ** 0.571.

    Source: as learning_rate.
    """
    return 0.58 * math.pow(tokens, 0.571)


def bootstrap_learning_rate(*, matrices: float, tokens: float) -> float:
    """The same by the mean of 1,000 bootstrap fits: exp(0.586308) N ** -0.712922 D ** 0.307491.

    Source: step-law/steplaw@32a8f4c code/fit_tool.py:pred_opt_lr_bs, means of the columns of
    data/1004_fitted_lr_bs_scaling_model_parameters.csv.
    Checked: 7e9 parameters, 1.4e12 tokens: 9.347e-4.
    """
    return math.exp(0.5863077907) * math.pow(matrices, -0.7129222912) * math.pow(tokens, 0.3074909504)


def bootstrap_batch_tokens(*, tokens: float) -> float:
    """The same by the mean of 1,000 bootstrap fits: exp(-0.543542) D ** 0.570944.

    Source: as bootstrap_learning_rate. Checked: 1.4e12 tokens: 2,439.9 sequences of 2,048 (mean of
    the 1,000 predictions: 2,449.4).
    """
    return math.exp(-0.5435421736) * math.pow(tokens, 0.5709443647)


def ask(asked: Asked) -> Answer:
    """What the law would choose."""
    if misplaced := out_of_place(LAW, asked=asked):
        return misplaced
    if asked.run_tokens is None:
        return lacking(LAW, what="the tokens of the run")
    if asked.parameters is None:
        return lacking(LAW, what="how many parameters are no embeddings")
    matrices, tokens = asked.parameters.matrices, asked.run_tokens
    means = (
        f"the mean of its 1,000 bootstrap fits: {bootstrap_batch_tokens(tokens=tokens) / 1e6:.4g} M tokens, "
        f"{bootstrap_learning_rate(matrices=matrices, tokens=tokens):.3g}"
    )
    return answered(
        LAW,
        asked=asked,
        inputs={"N": matrices, "D": tokens},
        batch_tokens=batch_tokens(tokens=tokens),
        learning_rate=learning_rate(matrices=matrices, tokens=tokens),
        remarks=(
            f"N = {matrices / 1e9:.4g} B, the weights of the layers",
            means,
        ),
    )
