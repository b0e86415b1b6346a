"""The micro-batch of a model with batch norm where nobody wrote one: not below what its statistics need."""

from __future__ import annotations

from collections.abc import Collection
from typing import NamedTuple

from launcher.planning.coupling.batch_norm import ENOUGH
from launcher.planning.divisors import divisors

__all__ = ["ChosenMicroBatch", "micro_batch_for_statistics", "samples_needed"]

MOST = 32
"""Samples of a micro-batch beyond which statistics gain nothing, where memory sets no bound.

Source: Goyal et al. 2017, arXiv:1706.02677, section 2.3, which keeps 32 images per worker at every batch.
"""
_USUAL = 8
"""Samples of a micro-batch that are taken anyway where nobody knows the memory."""


class ChosenMicroBatch(NamedTuple):
    """Samples, and how they were found in words."""

    size: int
    words: str


def samples_needed(*, coupled: Collection[str], data_parallel_size: int) -> int:
    """Micro-batch from which on batch norm has enough samples; 1 where there is none."""
    if "batch_norm" in coupled:
        return ENOUGH
    return -(-ENOUGH // data_parallel_size) if "sync_batch_norm" in coupled else 1


def micro_batch_for_statistics(*, sequences: int, needed: int, largest: int | None) -> ChosenMicroBatch:
    """A divisor of a rank's sequences with enough samples for batch norm, and not many more.

    largest: the most that fits; None where nobody knows. Where no divisor has enough, the largest there is.
    """
    most = max(_USUAL, MOST * needed // ENOUGH)
    sizes = [size for size in divisors(sequences) if largest is None or size <= largest] or [1]
    near = [size for size in sizes if needed <= size <= most]
    if near:
        return ChosenMicroBatch(near[-1], f"largest divisor of {sequences} up to {most}, for batch norm")
    above = [size for size in sizes if size > most]
    if above:
        return ChosenMicroBatch(above[0], f"smallest divisor of {sequences} from {needed} on, for batch norm")
    return ChosenMicroBatch(sizes[-1], f"largest divisor of {sequences}, for batch norm")
