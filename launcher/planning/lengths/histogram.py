"""Sequence lengths as a histogram: however many samples there are, only different lengths cost anything."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import accumulate

__all__ = ["Histogram", "histogram_of"]


@dataclass(frozen=True, slots=True)
class Histogram:
    """Different lengths in tokens, ascending, each with its number of samples; there is at least one."""

    lengths: tuple[int, ...]
    counts: tuple[int, ...]

    @property
    def num_samples(self) -> int:
        """Samples of the file."""
        return sum(self.counts)

    @property
    def num_tokens(self) -> int:
        """Tokens of the file."""
        return sum(length * count for length, count in zip(self.lengths, self.counts, strict=True))

    @property
    def mean(self) -> float:
        """Tokens per sample."""
        return self.num_tokens / self.num_samples

    def up_to(self) -> list[int]:
        """Samples of at most each length."""
        return list(accumulate(self.counts))

    def longer_than(self, limit: int) -> int:
        """Samples of more than `limit` tokens."""
        at = bisect_right(self.lengths, limit)
        return sum(self.counts[at:])

    def cut_to(self, limit: int) -> Histogram:
        """The same samples with no more than `limit` tokens of each."""
        at = bisect_right(self.lengths, limit)
        longer = sum(self.counts[at:])
        if not longer:
            return self
        counts = dict(zip(self.lengths[:at], self.counts[:at], strict=True))
        counts[limit] = counts.get(limit, 0) + longer
        return histogram_of(counts)

    def quantile(self, share: float) -> int:
        """The shortest length that at least this share of the samples does not exceed, in tokens."""
        wanted = share * self.num_samples
        for length, reached in zip(self.lengths, self.up_to(), strict=True):
            if reached >= wanted:
                return length
        return self.lengths[-1]


def histogram_of(counts: Mapping[int, int]) -> Histogram:
    """The histogram of samples by length."""
    ordered = sorted((length, count) for length, count in counts.items() if count)
    return Histogram(tuple(length for length, _ in ordered), tuple(count for _, count in ordered))
