"""Which samples a rehearsal and a self-test take first: by length, where a data set tells lengths cheaply."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

__all__ = ["SCANNED", "ByLength", "by_length", "sample_length"]

SCANNED = 4096
"""Samples that are looked at, evenly spread over the data: a scan of all of it could take longer than the rehearsal."""


class ByLength(NamedTuple):
    """The first places of the stream, and what is known of the lengths there."""

    indices: tuple[int, ...]
    scanned: int
    longest: int | None
    """None where samples have no length."""
    shortest: int | None


def by_length(dataset: Any, *, num_samples: int, wish: str, first_batch: int) -> ByLength:
    """Samples in the order of their lengths, longest first.

    wish: `longest`; or `ragged`, where the second half of the first batch are the shortest ones instead, so that its
    micro-batches differ as much as they can. first_batch: samples of the first step. The same on every rank.
    """
    looked_at = _spread(num_samples)
    lengths = {index: sample_length(dataset[index]) for index in looked_at}
    known = {index: length for index, length in lengths.items() if length is not None}
    if len(known) < len(lengths):
        return ByLength((), len(lengths), None, None)
    longest_first = sorted(known, key=lambda index: (-known[index], index))
    longest, shortest = known[longest_first[0]], known[longest_first[-1]]
    if wish == "ragged" and len(longest_first) > first_batch:
        half = first_batch // 2
        longest_first = [*longest_first[: first_batch - half], *longest_first[len(longest_first) - half :]]
    return ByLength(tuple(longest_first), len(lengths), longest, shortest)


def sample_length(sample: Any) -> int | None:
    """Items of a sample: of `input_ids` where it has them, else of its first part that has a length."""
    if isinstance(sample, Mapping):
        parts = [sample["input_ids"]] if "input_ids" in sample else [*sample.values()]
    elif isinstance(sample, list | tuple) and sample and not isinstance(sample[0], int | float):
        parts = [*sample]
    else:
        parts = [sample]
    return next((length for part in parts if (length := _len(part)) is not None), None)


def _len(part: Any) -> int | None:
    shape = getattr(part, "shape", None)
    if shape is not None and not len(shape):
        return None  # a scalar, such as a class label
    try:
        return len(part)
    except TypeError:
        return None


def _spread(num_samples: int) -> range | list[int]:
    if num_samples <= SCANNED:
        return range(num_samples)
    return [number * num_samples // SCANNED for number in range(SCANNED)]
