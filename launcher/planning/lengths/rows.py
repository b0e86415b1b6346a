"""What one sequence length makes of the samples: how much is cut off, and how much of the work is padding."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import ceil

from launcher.planning.lengths.histogram import Histogram
from launcher.planning.lengths.packing import (
    concatenated_sequences,
    cut_share,
    fewest_sequences,
    packed_sequences,
)
from launcher.planning.lengths.padding import slots_by_micro_batch, sorted_slots
from launcher.planning.lengths.pairs import Pair, Pairs

__all__ = ["LAYOUTS", "LengthRow", "row_of", "sequences_of_pass"]

LAYOUTS = ("padded", "micro_batch", "sorted", "concatenated", "whole")
"""Padded to the sequence length, to the longest sample of each micro-batch, that after sorting, packed with samples cut
at borders, packed with whole samples."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LengthRow:
    """One sequence length; shares are of the file's samples or tokens, waste is of the token slots."""

    sequence_length: int | Pair
    own: bool
    """Whether the recipe writes it."""
    truncated_samples: float
    """Share of the samples that are longer."""
    truncated_tokens: float
    """Share of the tokens beyond it; concatenation trains on them too."""
    kept_tokens: int
    """Tokens of one pass that remain."""
    cut_samples: float | None
    """Share of the samples that a border of concatenation cuts."""
    slots: Mapping[str, float | None]
    """Token slots of one pass by LAYOUTS; None where the layout does not apply."""
    waste: Mapping[str, float | None]
    """Share of these slots that is padding."""
    fewest_whole_slots: int | None
    """Slots that no packing of whole samples goes below."""


def row_of(
    lengths: Histogram | Pairs, *, sequence_length: int | Pair, micro_batch_size: int, own: bool = False
) -> LengthRow:
    """Everything about one sequence length."""
    if isinstance(lengths, Pairs):
        assert isinstance(sequence_length, tuple)
        return _pair_row(lengths, sequence_length, micro_batch_size, own)
    assert isinstance(sequence_length, int)
    kept = lengths.cut_to(sequence_length)
    tokens, samples = kept.num_tokens, lengths.num_samples
    concatenated = concatenated_sequences(lengths, sequence_length=sequence_length)
    slots = {
        "padded": samples * sequence_length,
        "micro_batch": slots_by_micro_batch(kept, batch_size=micro_batch_size),
        "sorted": sorted_slots(kept, batch_size=micro_batch_size),
        "concatenated": concatenated * sequence_length,
        "whole": packed_sequences(kept, sequence_length=sequence_length) * sequence_length,
    }
    trained = {**dict.fromkeys(LAYOUTS, tokens), "concatenated": lengths.num_tokens}
    return LengthRow(
        sequence_length=sequence_length,
        own=own,
        truncated_samples=lengths.longer_than(sequence_length) / samples,
        truncated_tokens=1 - tokens / lengths.num_tokens,
        kept_tokens=tokens,
        cut_samples=cut_share(lengths, sequence_length=sequence_length),
        slots=slots,
        waste={name: _waste(trained[name], slots[name]) for name in LAYOUTS},
        fewest_whole_slots=fewest_sequences(kept, sequence_length=sequence_length) * sequence_length,
    )


def _pair_row(pairs: Pairs, limit: Pair, micro_batch_size: int, own: bool) -> LengthRow:
    kept = pairs.cut_to(limit)
    slots: dict[str, float | None] = {
        "padded": pairs.num_samples * sum(limit),
        "micro_batch": kept.slots_by_micro_batch(batch_size=micro_batch_size),
        "sorted": kept.sorted_slots(batch_size=micro_batch_size),
        "concatenated": None,
        "whole": None,
    }
    return LengthRow(
        sequence_length=limit,
        own=own,
        truncated_samples=pairs.longer_than(limit) / pairs.num_samples,
        truncated_tokens=1 - kept.num_tokens / pairs.num_tokens,
        kept_tokens=kept.num_tokens,
        cut_samples=None,
        slots=slots,
        waste={name: None if held is None else _waste(kept.num_tokens, held) for name, held in slots.items()},
        fewest_whole_slots=None,
    )


def _waste(tokens: int, slots: float) -> float:
    """Share of the slots without a token; a rounding error is none."""
    return max(0.0, 1 - tokens / slots)


def sequences_of_pass(row: LengthRow, *, layout: str, num_samples: int) -> int:
    """Sequences of one pass over the data."""
    slots = row.slots[layout]
    if layout not in {"concatenated", "whole"} or slots is None:
        return num_samples
    assert isinstance(row.sequence_length, int)
    return ceil(slots / row.sequence_length)
