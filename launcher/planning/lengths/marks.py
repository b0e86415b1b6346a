"""Sequence lengths worth looking at: the recipe's own, powers of two around them, and quantiles of the file."""

from __future__ import annotations

from launcher.planning.lengths.histogram import Histogram
from launcher.planning.lengths.pairs import Pair, Pairs

__all__ = ["QUANTILES", "marks_of"]

QUANTILES = (0.5, 0.9, 0.95, 0.99, 1.0)
_AROUND = (0.25, 0.5, 1, 2, 4)


def marks_of(
    lengths: Histogram | Pairs, *, own: tuple[int, ...] | tuple[Pair, ...]
) -> tuple[int, ...] | tuple[Pair, ...]:
    """Sequence lengths in ascending order, each once.

    Powers of two beyond the longest sample say what the next smaller one says, and are left out.
    """
    if isinstance(lengths, Pairs):
        pairs = [pair for pair in own if isinstance(pair, tuple)]
        scaled = {
            (max(1, int(pair[0] * by)), max(1, int(pair[1] * by))) for pair in pairs for by in (0.5, 1, 2)
        }
        found = {(lengths.input.quantile(share), lengths.target.quantile(share)) for share in QUANTILES}
        return tuple(sorted({*pairs, *scaled, *found}))
    single = [length for length in own if isinstance(length, int)]
    longest = lengths.lengths[-1]
    enough = 1 << (longest - 1).bit_length()
    powers = {int(_power(length) * by) for length in single for by in _AROUND}
    around = {power for power in powers if 1 <= power <= enough}
    return tuple(sorted({*single, *around, *(lengths.quantile(share) for share in QUANTILES)}))


def _power(length: int) -> int:
    """The largest power of two that is no larger."""
    return 1 << (length.bit_length() - 1)
