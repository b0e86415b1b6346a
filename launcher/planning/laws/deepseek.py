"""DeepSeek LLM: batch and learning rate from the compute of the run."""

from __future__ import annotations

import math
from typing import NamedTuple

from launcher.planning.laws.answer import Answer, Axis, Law, answered, lacking, out_of_place
from launcher.planning.laws.asked import Asked

__all__ = ["LAW", "Compute", "ask", "batch_tokens", "compute_of", "flops_per_token", "learning_rate"]

LAW = Law(
    name="DeepSeek LLM",
    source="arXiv:2401.02954",
    gives="optimum",
    fitted="dense decoders, AdamW (0.9, 0.95), weight decay 0.1, rate falling in steps to 31.6 % and 10 %",
    axes=(Axis(name="C", low=1e17, high=2e19, what="training FLOPs without embeddings"),),
)
"""Range: section 3.1, budgets of the runs behind equation 1; one model at 1e20 lay near the formula's best."""


class Compute(NamedTuple):
    """Training FLOPs, and how they were counted."""

    flops: float
    formula: str


def batch_tokens(*, flops: float) -> float:
    """Best batch in tokens per step, 0.2920 C ** 0.3271.

    Source: DeepSeek-AI 2024, arXiv:2401.02954 (constants as in codestar12.github.io/llm-hparam-flop-calculator).
    Checked: the runs in deepseek-ai/DeepSeek-LLM@6712a86 README.md: 7B 2,304 x 4,096 (the formula: 2,252), 67B 4,608
    (5,043).
    """
    return 0.2920 * math.pow(flops, 0.3271)


def learning_rate(*, flops: float) -> float:
    """Best peak learning rate, 0.3118 C ** -0.1250, dimensionless.

    Source: as batch_tokens. Checked: the same runs: 7B 4.2e-4 (the formula: 4.246e-4), 67B 3.2e-4 (3.120e-4).
    """
    return 0.3118 * math.pow(flops, -0.1250)


def flops_per_token(*, num_layers: int, hidden_size: int, sequence_length: int) -> int:
    """Non-embedding training FLOPs of one token, M = 72 L d**2 + 12 L d s.

    Source: arXiv:2401.02954 section 3.2. Checked: 30 layers of 4,096 at length 4,096 on 2e12 tokens: C = 8.456e22.
    """
    return 12 * num_layers * hidden_size * (6 * hidden_size + sequence_length)


def compute_of(asked: Asked) -> Compute | None:
    """C = M D where depth, width and length are known, else 6 N D; None without tokens or a model."""
    tokens, length = asked.run_tokens, asked.sequence_length
    if tokens is None:
        return None
    if asked.kind == "decoder" and asked.num_layers and asked.hidden_size and length:
        each = flops_per_token(
            num_layers=asked.num_layers, hidden_size=asked.hidden_size, sequence_length=length
        )
        return Compute(each * tokens, "(72 L d^2 + 12 L d s) D")
    if asked.parameters is None:
        return None
    return Compute(6.0 * asked.parameters.non_embedding * tokens, "6 N D, N active without embeddings")


def ask(asked: Asked) -> Answer:
    """What the law would choose."""
    if misplaced := out_of_place(LAW, asked=asked):
        return misplaced
    compute = compute_of(asked)
    if compute is None:
        missing = (
            "the tokens of the run" if asked.run_tokens is None else "how many parameters are no embeddings"
        )
        return lacking(LAW, what=missing)
    remarks = [f"C = {compute.formula} = {compute.flops:.4g} FLOPs"]
    if compute.formula.startswith("(") and asked.parameters is not None and asked.run_tokens:
        other = 6.0 * asked.parameters.non_embedding * asked.run_tokens
        remarks.append(
            f"counted as 6 N D, C = {other:.4g} and the batch {batch_tokens(flops=other) / 1e6:.3g} M tokens"
        )
    return answered(
        LAW,
        asked=asked,
        inputs={"C": compute.flops},
        batch_tokens=batch_tokens(flops=compute.flops),
        learning_rate=learning_rate(flops=compute.flops),
        remarks=tuple(remarks),
    )
