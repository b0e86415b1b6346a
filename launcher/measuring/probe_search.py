"""Which micro-batch to try next, given which of the tried ones fit: as few starts of a job as possible."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

__all__ = ["largest_fitting", "next_size"]


def next_size(*, sizes: Sequence[int], start: int, known: Mapping[int, bool]) -> int | None:
    """The micro-batch of the next trial, in sequences; None when the largest that fits is known.

    sizes: divisors of a rank's sequences, ascending. start: the expected answer, where the first trial is made.
    known: sizes tried, and whether they fit. Memory grows with the size: from the first trial the steps double until
    one fits and one does not, then halve.
    """
    fitting = [at for at, size in enumerate(sizes) if known.get(size) is True]
    failing = [at for at, size in enumerate(sizes) if known.get(size) is False]
    below, above = max(fitting, default=-1), min(failing, default=len(sizes))
    if above - below <= 1:
        return None
    if not known:
        return sizes[max([at for at, size in enumerate(sizes) if size <= start], default=0)]
    if not failing:
        return sizes[min(len(sizes) - 1, below + (1 << (len(fitting) - 1)))]
    if not fitting:
        return sizes[max(0, above - (1 << (len(failing) - 1)))]
    return sizes[(below + above) // 2]


def largest_fitting(known: Mapping[int, bool]) -> int | None:
    """The largest size that fits; None where none does."""
    return max((size for size, fits in known.items() if fits), default=None)
