"""Sequences that packing fills: cut at borders, or with whole samples."""

from __future__ import annotations

from bisect import bisect_left, insort

from launcher.planning.lengths.histogram import Histogram

__all__ = ["concatenated_sequences", "cut_share", "fewest_sequences", "packed_sequences"]


def concatenated_sequences(lengths: Histogram, *, sequence_length: int) -> int:
    """Sequences of one pass when samples are written one after the other and cut every `sequence_length` tokens."""
    return -(-lengths.num_tokens // sequence_length)


def cut_share(lengths: Histogram, *, sequence_length: int) -> float:
    """Expected share of samples that a border of concatenation cuts.

    min(1, (l - 1) / L) of the samples of l tokens: a sample starts at each of the L places alike where many of many
    lengths lie before it.
    Source: Ding et al. 2024, arXiv:2404.10830, section 2 (what concatenation truncates).
    """
    cut = sum(
        count * min(1.0, (length - 1) / sequence_length)
        for length, count in zip(lengths.lengths, lengths.counts, strict=True)
    )
    return cut / lengths.num_samples


def packed_sequences(lengths: Histogram, *, sequence_length: int) -> int:
    """Sequences of one pass when whole samples share them: the longest first, each where it leaves least room.

    Best-fit decreasing on a histogram: never more than 11/9 of the fewest possible plus 4, as first-fit decreasing.
    No sample is longer than sequence_length.
    Source: Krell et al. 2021, arXiv:2107.02027, section 3.1 (longest-pack-first histogram packing); the bound: Johnson,
    Demers, Ullman, Garey and Graham 1974, doi:10.1137/0203025, theorem 3.2.
    """
    assert lengths.lengths[-1] <= sequence_length
    packed = _Sequences()
    for length, samples in zip(reversed(lengths.lengths), reversed(lengths.counts), strict=True):
        left = packed.take(length, samples)
        if left:
            packed.open(-(-left // (sequence_length // length)), sequence_length)
            left = packed.take(length, left)
        assert not left
    return sum(packed.rooms.values())


class _Sequences:
    """Sequences by the tokens that still fit into them."""

    def __init__(self) -> None:
        self.rooms: dict[int, int] = {}
        self._order: list[int] = []
        """The keys of `rooms`, ascending."""

    def open(self, sequences: int, room: int) -> None:
        """Adds sequences with that room."""
        if not sequences:
            return
        if room not in self.rooms:
            insort(self._order, room)
        self.rooms[room] = self.rooms.get(room, 0) + sequences

    def take(self, length: int, samples: int) -> int:
        """Puts samples of one length where least room stays; those that find none."""
        left = samples
        while left and (at := bisect_left(self._order, length)) < len(self._order):
            room = self._order.pop(at)
            sequences, each = self.rooms.pop(room), room // length
            full = min(sequences, left // each)
            left -= full * each
            partly = 1 if left and full < sequences else 0
            self.open(full, room - each * length)
            self.open(partly, room - left * length)
            self.open(sequences - full - partly, room)
            if partly:
                return 0
        return left


def fewest_sequences(lengths: Histogram, *, sequence_length: int) -> int:
    """Sequences that no packing of whole samples goes below: as many as the tokens fill, and one for each long sample.

    Two samples of more than half a sequence never share one.
    """
    tokens = -(-lengths.num_tokens // sequence_length)
    return max(tokens, lengths.longer_than(sequence_length // 2))
