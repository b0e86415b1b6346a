"""Megatron's two notations of a batch ramp as stages: the step schedule, and the three numbers that it replaced.

Source: NVIDIA/Megatron-LM@d98e8a64 megatron/core/num_microbatches_calculator.py for the first, its parent of commit
532ad926, which took the other away, for the second.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator
from fractions import Fraction
from itertools import pairwise
from typing import NamedTuple

from launcher.spec.recipe import Stage
from launcher.units import Amount

__all__ = ["Entry", "RampError", "as_stages", "entries_of", "ramp_thresholds", "step_thresholds"]

_FACTORS = {"": 1, "K": 10**3, "M": 10**6, "B": 10**9, "T": 10**12}
_ENTRY = re.compile(r"(?P<threshold>[^\s,:]+):(?P<batch>[^\s,:]+)")
_NUMBER = re.compile(r"(?P<digits>[0-9][0-9_]*(?:\.[0-9]+)?(?:[eE][+-]?[0-9]{1,2})?)(?P<suffix>[KMBTkmbt]?)")


class RampError(ValueError):
    """A notation that says no ramp; the message says why, `hint` what to write."""

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


class Entry(NamedTuple):
    """From how many consumed samples on a global batch (sequences) holds."""

    samples: int
    global_batch_size: int


def entries_of(text: str) -> Iterator[re.Match[str]]:
    """The `THRESHOLD:BATCH` pairs of a step schedule, between blanks or commas, with their places in it."""
    return _ENTRY.finditer(text)


def step_thresholds(text: str, *, sequence_length: int | None) -> tuple[Entry, ...]:
    """The entries of a step schedule, `0:768 250B:1536 500B:3072`, in order.

    A threshold is in tokens where a sequence length is given, floor-divided into samples, else in samples. Numbers are
    exact; Megatron multiplies floats and cuts off, which may be one less. Raises RampError.
    """
    found = []
    for entry in entries_of(text):
        threshold, batch = _number(entry["threshold"]), _number(entry["batch"])
        if batch < 1:
            raise RampError(f"`{entry[0]}` is a batch of {batch}", hint="write batches of at least 1")
        found.append(Entry(threshold // (sequence_length or 1), batch))
    found.sort()
    if not found or found[0].samples != 0:
        raise RampError(
            "the first threshold is not 0", hint="begin with the batch of the first step, `0:768`"
        )
    for earlier, later in pairwise(found):
        if later.samples == earlier.samples:
            raise RampError(
                f"the batches {earlier.global_batch_size} and {later.global_batch_size} both begin at "
                f"{later.samples} samples",
                hint="give every batch a threshold of its own",
            )
    return tuple(found)


def ramp_thresholds(*, start: int, increment: int, samples: int, global_batch_size: int) -> tuple[Entry, ...]:
    """The thresholds that START, INCREMENT and SAMPLES stand for: n = (G - START) / INCREMENT, each SAMPLES / n long.

    A step takes START + k INCREMENT from k SAMPLES / n consumed samples on; thresholds are rounded up to whole samples,
    which no step can tell from the exact ones. Raises RampError where n is not whole, or 0: Megatron divides by it.
    """
    left = global_batch_size - start
    if left <= 0:
        raise RampError(
            f"the ramp starts at {start}, and global_batch_size is {global_batch_size}: there is nothing to ramp",
            hint="start below global_batch_size, or drop stages",
        )
    if left % increment:
        fitting = [
            size for size in (left // increment * increment, -(-left // increment) * increment) if size
        ]
        ends = " or ".join(str(start + size) for size in fitting)
        raise RampError(
            f"{global_batch_size} - {start} = {left} is not a whole number of increments of {increment}",
            hint=f"ramp to {ends}, or use another increment",
        )
    count = left // increment
    return tuple(
        Entry(math.ceil(Fraction(samples * place, count)), start + place * increment)
        for place in range(count + 1)
    )


def as_stages(entries: Iterable[Entry]) -> tuple[Stage, ...]:
    """The stages of thresholds; a batch that no step would take, as its threshold is passed at once, is left out."""
    given, kept, consumed = tuple(entries), list[Stage](), 0
    for entry, following in pairwise(given):
        steps = -(-(following.samples - consumed) // entry.global_batch_size)
        if steps > 0:
            consumed += steps * entry.global_batch_size
            text = f"{following.samples} samples"
            until = Amount(number=Fraction(following.samples), unit="samples", text=text)
            kept.append(Stage(until=until, global_batch_size=entry.global_batch_size))
    return (*kept, Stage(global_batch_size=given[-1].global_batch_size))


def _number(text: str) -> int:
    match = _NUMBER.fullmatch(text)
    if match is None:
        raise RampError(f"`{text}` is no number", hint="write `250B`, `1.5M` or `768`")
    return math.floor(Fraction(match["digits"].replace("_", "")) * _FACTORS[match["suffix"].upper()])
