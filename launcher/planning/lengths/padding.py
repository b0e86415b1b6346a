"""Slots that padding fills: to one length, to the longest sample of each micro-batch, and after sorting by length."""

from __future__ import annotations

from math import exp, lgamma

from launcher.planning.lengths.histogram import Histogram

__all__ = ["expected_longest", "slots_by_micro_batch", "sorted_slots"]

_EXACT = 2_000_000
"""Factors that are multiplied one by one; above it the logarithm of the gamma function stands for the product."""


def expected_longest(lengths: Histogram, *, batch_size: int) -> float:
    """Expected length of the longest of `batch_size` samples drawn at random without putting back, in tokens.

    Sum over lengths l of l * (P(l) - P(previous l)), where P(l) = C(n(l), b) / C(n, b): n(l) of the n samples are no
    longer than l, b = batch_size. Every micro-batch of a shuffled pass over the data is such a draw.
    Source: David and Nagaraja 2003, Order Statistics, 3rd edition, section 3.7 (finite populations).
    Checked: tests/planning/lengths, against every way to draw from small sets.
    """
    up_to, total = lengths.up_to(), lengths.num_samples
    size = min(batch_size, total)
    exact = size * len(up_to) <= _EXACT
    expected, before = 0.0, 0.0
    for length, reached in zip(lengths.lengths, up_to, strict=True):
        share = _share(reached, total, size) if exact else _large_share(reached, total, size)
        expected += length * (share - before)
        before = share
    return expected


def slots_by_micro_batch(lengths: Histogram, *, batch_size: int) -> float:
    """Expected token slots of one shuffled pass when each micro-batch is padded to its longest sample.

    The last micro-batch holds what is left.
    """
    whole, rest = divmod(lengths.num_samples, batch_size)
    slots = whole * batch_size * expected_longest(lengths, batch_size=batch_size) if whole else 0.0
    return slots + (rest * expected_longest(lengths, batch_size=rest) if rest else 0.0)


def sorted_slots(lengths: Histogram, *, batch_size: int) -> int:
    """Token slots of one pass when samples are sorted by length and each micro-batch is padded to its longest.

    Where micro-batches come out even, no grouping of the samples needs fewer: this is what bucketing can reach. The
    last micro-batch, of the longest samples, holds what is left.
    """
    slots = before = 0
    for length, reached in zip(lengths.lengths, lengths.up_to(), strict=True):
        slots += length * batch_size * (reached // batch_size - before // batch_size)
        before = reached
    return slots + before % batch_size * lengths.lengths[-1]


def _share(reached: int, total: int, size: int) -> float:
    """C(reached, size) / C(total, size)."""
    share = 1.0
    for taken in range(size):
        if reached <= taken:
            return 0.0
        share *= (reached - taken) / (total - taken)
    return share


def _large_share(reached: int, total: int, size: int) -> float:
    if reached < size:
        return 0.0
    if reached == total:
        return 1.0
    return exp(_falling(reached, size) - _falling(total, size))


def _falling(number: int, size: int) -> float:
    """Natural logarithm of number! / (number - size)!."""
    return lgamma(number + 1) - lgamma(number - size + 1)
