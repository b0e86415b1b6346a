"""Samples of an encoder-decoder: an input and a target, each padded by itself."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from launcher.planning.lengths.histogram import Histogram, histogram_of
from launcher.planning.lengths.padding import slots_by_micro_batch

__all__ = ["Pairs"]

Pair = tuple[int, int]


@dataclass(frozen=True)
class Pairs:
    """Different pairs of input and target length in tokens, each with its number of samples; there is at least one."""

    counts: Mapping[Pair, int]

    @cached_property
    def input(self) -> Histogram:
        """Lengths into the encoder."""
        return self._side(0)

    @cached_property
    def target(self) -> Histogram:
        """Lengths out of the decoder."""
        return self._side(1)

    @property
    def num_samples(self) -> int:
        """Samples of the file."""
        return self.input.num_samples

    @property
    def num_tokens(self) -> int:
        """Tokens of the file, input and target together."""
        return self.input.num_tokens + self.target.num_tokens

    def longer_than(self, limit: Pair) -> int:
        """Samples of which either side is longer."""
        return sum(count for pair, count in self.counts.items() if pair[0] > limit[0] or pair[1] > limit[1])

    def cut_to(self, limit: Pair) -> Pairs:
        """The same samples with no more than so many tokens of each side."""
        counts: Counter[Pair] = Counter()
        for pair, count in self.counts.items():
            counts[min(pair[0], limit[0]), min(pair[1], limit[1])] += count
        return Pairs(counts)

    def slots_by_micro_batch(self, *, batch_size: int) -> float:
        """Expected token slots of a shuffled pass when each side of a micro-batch is padded to its longest."""
        sides = (self.input, self.target)
        return sum(slots_by_micro_batch(side, batch_size=batch_size) for side in sides)

    def sorted_slots(self, *, batch_size: int) -> int:
        """Token slots of one pass when samples are sorted by input, then target, each side padded to its longest."""
        slots = filled = longest = 0
        for (length, target), samples in sorted(self.counts.items()):
            left, wide = samples, longest
            if filled + left >= batch_size:
                whole, rest = divmod(filled + left - batch_size, batch_size)
                slots += batch_size * (length + max(wide, target)) + whole * batch_size * (length + target)
                filled, longest = rest, target if rest else 0
            else:
                filled, longest = filled + left, max(wide, target)
        return slots + filled * ((max(self.counts)[0] if filled else 0) + longest)

    def _side(self, side: int) -> Histogram:
        counts: Counter[int] = Counter()
        for pair, count in self.counts.items():
            counts[pair[side]] += count
        return histogram_of(counts)
