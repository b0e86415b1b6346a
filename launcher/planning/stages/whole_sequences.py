"""Where a stage may end when the next one has another sequence length: nothing of the data is lost or read twice.

The stream is permuted in chunks of the longest length of the run. A stage with a shorter length reads each chunk as
consecutive sequences, so its length has to divide the longest; and a stage can only start where the tokens consumed so
far are a whole number of its own sequences.
"""

from __future__ import annotations

from collections.abc import Iterable
from math import gcd

__all__ = ["length_out_of_step", "longest_length", "steps_to_whole_sequence"]


def longest_length(lengths: Iterable[int | None]) -> int | None:
    """Tokens of one chunk of the stream; None where the length is unknown or never changes.

    lengths: `batch.sequence_length` of every stage.
    """
    known = set(lengths)
    return None if len(known) < 2 or None in known else max(length for length in known if length is not None)


def length_out_of_step(lengths: Iterable[int]) -> int | None:
    """The first length that does not divide the longest one; None where all do."""
    given = tuple(lengths)
    return next((length for length in given if max(given) % length), None)


def steps_to_whole_sequence(
    *, steps: int, tokens_before: int, tokens_per_step: int, next_length: int
) -> int | None:
    """Optimizer steps of a stage: `steps`, or the fewest more after which the next stage starts on a whole sequence.

    steps: up to the stage's mark, the step at or past it included. tokens_before, tokens_per_step: of the stage.
    next_length: tokens per sequence of the stage after it. None where no number of steps ends there.
    """
    ahead = tokens_before + steps * tokens_per_step
    common = gcd(tokens_per_step, next_length)
    if ahead % common:
        return None
    # more * tokens_per_step = -ahead modulo next_length
    period = next_length // common
    more = -(ahead // common) * pow(tokens_per_step // common, -1, period) % period
    return steps + more
