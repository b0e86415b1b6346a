"""One optimizer of the script: its steps, what they were seen to do, and what of that is settled."""

from __future__ import annotations

from dataclasses import dataclass, field

from batchwright_witness.counting import Seen
from batchwright_witness.rates import RateCheck
from batchwright_witness.samples import SampleCheck

__all__ = ["PATIENCE", "STEPS", "Track"]

STEPS = 3
"""Optimizer steps after which a contradiction must have been found."""
PATIENCE = 20
"""Optimizer steps that the exchange goes on at most where the first three could not be judged."""


@dataclass(slots=True, eq=False)
class Track:
    """The state of one optimizer. `before` steps were done by an earlier process; None when that is not known."""

    index: int
    before: int | None
    samples: SampleCheck
    tokens: SampleCheck | None
    rate: RateCheck | None
    steps: int = 0
    skipped: int = 0
    skipped_before: int = 0
    """Of the `before` steps, those that changed nothing."""
    settled: bool = False
    visible: bool = False
    """Some rank counted something in some step."""
    agreed: bool = False
    """The samples are the plan's, as rank 0 judged."""
    mark: dict[str, int] = field(default_factory=dict)
    time: float | None = None
    share: tuple[str, int] | None = None
    """Place and number of the samples that this rank took of an agreeing step."""
    counted: float | None = None
    """Samples of all steps so far, over all ranks, once a step agreed."""

    @property
    def number(self) -> int:
        """Number of the latest step, from the start of the training."""
        return (self.before or 0) + self.steps

    @property
    def applied(self) -> int:
        """The same without steps that were skipped: what a stack's own schedule counts."""
        return self.number - self.skipped_before

    @property
    def skips(self) -> int:
        """All steps that changed nothing so far."""
        return self.skipped + self.skipped_before

    def count_on(self, seen: Seen, batch: int) -> str | None:
        """Carry the sum of samples on by what this rank took; words when a step takes other than the first ones."""
        if self.share is None or self.counted is None:
            return None
        place, usual = self.share
        taken = seen.numbers.get(place, 0)
        self.counted += batch * taken / usual
        if taken == usual or place in seen.unsure:
            return None
        return f"optimizer step {self.number} took {taken} samples on this rank, the first steps {usual}"

    def start_counting(self, seen: Seen, batch: int) -> None:
        """An agreeing step: from here on this rank's share tells of the whole."""
        place = self.samples.outcomes[-1].source if self.samples.outcomes else ""
        usual = seen.numbers.get(place, 0)
        if usual:
            self.counted, self.share = float(self.number * batch), (place, usual)
