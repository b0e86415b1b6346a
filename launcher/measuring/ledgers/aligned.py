"""Passes under several sets of dimensions, storage by storage: one program, so the same storages in the same order.

Where passes differ in anything but sizes, the dimensions have changed what runs, and there is no polynomial: an error.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

from launcher.measuring.ledgers.passes import Pass
from launcher.measuring.recording import Seen, Step
from launcher.measuring.symbols import Fitter, InexactError, add

__all__ = ["Aligned", "align"]

_OWN = ("parameter", "buffer")


@dataclass(frozen=True, slots=True)
class Aligned:
    """One pass whose sizes are polynomials."""

    seen: list[Seen]
    polys: list[dict[str, Fraction]]
    steps: list[Step]

    def saved(self) -> list[Seen]:
        """Storages kept for the backward pass, without parameters and buffers."""
        return [each for each in self.seen if each.saved_in is not None and each.made_by not in _OWN]

    def total(self, chosen: Sequence[Seen]) -> dict[str, Fraction]:
        """Bytes of some storages."""
        return add(self.polys[each.number] for each in chosen)

    def counts(self, number: int) -> bool:
        """Whether a storage is neither parameter nor buffer nor gradient of a parameter."""
        seen = self.seen[number]
        return seen.made_by not in _OWN and seen.role != "gradient"


def align(passes: Sequence[Pass], fitter: Fitter) -> Aligned:
    """Lays passes over each other; the fitter knows their dimensions, in the same order."""
    first = passes[0].recording
    steps = first.ordered()
    for each in passes[1:]:
        _same_program(first.seen, each.recording.seen, steps, each.recording.ordered())
    sizes = zip(*([seen.size for seen in each.recording.seen] for each in passes), strict=True)
    polys = []
    for seen, row in zip(first.seen, sizes, strict=True):
        try:
            polys.append(fitter.fit(row))
        except InexactError as problem:
            raise InexactError(f"{problem}: output of {seen.made_by} in {seen.made_in}") from None
    return Aligned(first.seen, polys, steps)


def _same_program(one: list[Seen], other: list[Seen], steps: list[Step], others: list[Step]) -> None:
    for a, b in zip(one, other, strict=False):
        if (a.made_by, a.made_in, a.saved_in, a.role) != (b.made_by, b.made_in, b.saved_in, b.role):
            raise InexactError(f"the passes differ at storage {a.number}: {a} and {b}")
    if len(one) != len(other):
        raise InexactError(f"the passes have {len(one)} and {len(other)} storages")
    for index, (step, its) in enumerate(zip(steps, others, strict=True)):
        if step != its:
            raise InexactError(f"the passes differ at step {index}: {step} and {its}")
