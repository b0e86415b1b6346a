"""nanochat: batch, learning rate and weight decay, anchored on its own model of depth 12."""

from __future__ import annotations

import math

from launcher.planning.laws.answer import ADAM_LIKE, Answer, Axis, Law, answered, lacking, out_of_place
from launcher.planning.laws.asked import Asked
from launcher.planning.laws.power_lines import batch_scale

__all__ = ["LAW", "REFERENCE_BATCH_TOKENS", "REFERENCE_TOKENS", "ask", "batch_tokens", "weight_decay"]

REFERENCE_TOKENS = 1.156e9
REFERENCE_BATCH_TOKENS = 2**19

LAW = Law(
    name="nanochat",
    source="karpathy/nanochat@92d63d4 scripts/base_train.py",
    gives="anchored",
    fitted="its own model of depth 12; Muon and AdamW, for Muon its code calls the rule an assumption; depths 8 to 50 "
    "of its log",
    axes=(Axis(name="D", low=0.44e9, high=65.6e9, what="tokens of the run"),),
)


def batch_tokens(
    *,
    total_tokens: float,
    reference_tokens: float = REFERENCE_TOKENS,
    reference_batch_tokens: int = REFERENCE_BATCH_TOKENS,
) -> int:
    """Tokens per step: the power of two nearest (in the exponent) to B_ref (D / D_ref) ** 0.383.

    Source: karpathy/nanochat@92d63d4 scripts/base_train.py, after Bergsma et al. 2025, arXiv:2505.13738.
    """
    wanted = reference_batch_tokens * batch_scale(data_scale=total_tokens / reference_tokens)
    return int(2 ** round(math.log2(wanted)))


def weight_decay(
    *,
    weight_decay: float,
    batch_tokens: int,
    total_tokens: float,
    reference_tokens: float = REFERENCE_TOKENS,
    reference_batch_tokens: int = REFERENCE_BATCH_TOKENS,
) -> float:
    """Weight decay lambda sqrt(B / B_ref) D_ref / D, dimensionless.

    Source: karpathy/nanochat@92d63d4 scripts/base_train.py, after Wang & Aitchison 2024, arXiv:2405.13698.
    """
    return weight_decay * math.sqrt(batch_tokens / reference_batch_tokens) * (reference_tokens / total_tokens)


def ask(asked: Asked) -> Answer:
    """Its batch, and what it would multiply its own rates and weight decay by."""
    if misplaced := out_of_place(LAW, asked=asked, optimizers=(*ADAM_LIKE, "muon")):
        return misplaced
    if asked.run_tokens is None:
        return lacking(LAW, what="the tokens of the run")
    batch = batch_tokens(total_tokens=asked.run_tokens)
    return answered(
        LAW,
        asked=asked,
        inputs={"D": asked.run_tokens},
        batch_tokens=float(batch),
        learning_rate_factor=math.sqrt(batch / REFERENCE_BATCH_TOKENS),
        weight_decay_factor=weight_decay(weight_decay=1.0, batch_tokens=batch, total_tokens=asked.run_tokens),
        remarks=("rate and weight decay are factors on its own settings at 2^19 tokens",),
    )
