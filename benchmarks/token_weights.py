"""What one token weighs in the gradient of a step, as stacks divide and have divided: exact, per rank, mean of means.

Lengths are loss tokens of the sequences of one step, in order; sequences go where the plan's slots put them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from random import Random

from launcher.planning.accumulation import loss_scale, micro_batch_slots

__all__ = ["LENGTHS", "exact", "lengths_of", "mean_of_means", "misplaced", "per_rank"]

Weights = Callable[..., list[float]]
LENGTHS: dict[str, Callable[[Random], int]] = {
    "1 to 2048, uniform": lambda draw: draw.randint(1, 2048),
    "chat: log-normal, median 200": lambda draw: min(2048, max(1, round(draw.lognormvariate(5.3, 1.0)))),
    "answers: 9 of 10 short": lambda draw: draw.choice([1] * 9 + [512]) * draw.randint(1, 4),
    "packed: all 2048": lambda _: 2048,
}
"""Kinds of data to a draw of one sequence's loss tokens."""


def lengths_of(kind: str, *, sequences: int, seed: int) -> list[int]:
    """Loss tokens of the sequences of one step."""
    draw = Random(f"{kind} {seed}")
    return [LENGTHS[kind](draw) for _ in range(sequences)]


def exact(lengths: Sequence[int], *, ranks: int, accumulation: int) -> list[float]:
    """Weight of a token of each sequence with the plan's factor, under a mean over ranks: the same for all."""
    factor = loss_scale(
        reducer="ddp",
        data_parallel_size=ranks,
        gradient_accumulation_steps=accumulation,
        total_weight=sum(lengths),
    )
    return [factor / ranks] * len(lengths)


def per_rank(lengths: Sequence[int], *, ranks: int, accumulation: int) -> list[float]:
    """The same where each rank divides by its own tokens, over all its micro-batches.

    Source: transformers before huggingface/transformers#34242; prime-rl before PrimeIntellect-ai/prime-rl#1957, #2562.
    """
    return _divided(lengths, ranks=ranks, accumulation=accumulation, group=lambda _, rank: rank)


def mean_of_means(lengths: Sequence[int], *, ranks: int, accumulation: int) -> list[float]:
    """The same where each micro-batch takes the mean over its tokens, and accumulation and ranks average the means.

    Source: transformers before huggingface/transformers#34191.
    """
    return _divided(lengths, ranks=ranks, accumulation=accumulation, group=lambda step, rank: (step, rank))


def misplaced(weights: Sequence[float], lengths: Sequence[int]) -> float:
    """Share of a step's weight that lies on other tokens than it should: half the sum of |w - 1 / W|; 0 to 1."""
    even = 1 / sum(lengths)
    return sum(length * abs(weight - even) for weight, length in zip(weights, lengths, strict=True)) / 2


def _divided(
    lengths: Sequence[int], *, ranks: int, accumulation: int, group: Callable[[int, int], object]
) -> list[float]:
    """1 / (tokens of a group x groups) for a token of each sequence."""
    micro = len(lengths) // (ranks * accumulation)
    groups: list[object] = [None] * len(lengths)
    for step in range(accumulation):
        for rank in range(ranks):
            held = micro_batch_slots(
                micro_step=step,
                rank=rank,
                micro_batch_size=micro,
                data_parallel_size=ranks,
                samples_in_step=len(lengths),
            )
            for index in held:
                groups[index] = group(step, rank)
    tokens: dict[object, int] = {}
    for which, length in zip(groups, lengths, strict=True):
        tokens[which] = tokens.get(which, 0) + length
    return [1 / (tokens[which] * len(tokens)) for which in groups]
