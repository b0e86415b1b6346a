"""What a step, a token, an epoch and a percent are in samples."""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction

from launcher.errors import Problem
from launcher.planning.model import sequence_tokens
from launcher.planning.stages.timeline import StageClock, Unit, last_stretch
from launcher.spec.recipe import Recipe
from launcher.units import Amount

__all__ = [
    "Yardstick",
    "needs_length",
    "num_samples_of",
    "run_tokens",
    "samples_of",
    "unknown_length",
    "yardstick_of",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Yardstick:
    """What one step, one token, one epoch and one percent are in samples; None where that is not known."""

    batch: Fraction
    sequence_length: int | None
    num_samples: int | None
    total_samples: Fraction | None = None
    clock: StageClock | None = None
    """Where the run has stages: lengths are counts of the clock then, which passes through all of them."""

    def samples(self, amount: Amount) -> Fraction | None:
        """The amount in samples, exact; None where its unit is not known in samples."""
        if self.clock is not None and amount.unit in {"steps", "samples", "tokens"}:
            return self.clock.count(amount.number, given=amount.unit)  # type: ignore[arg-type]
        if amount.unit == "samples":
            return amount.number
        if amount.unit == "steps":
            return amount.number * self.batch
        if amount.unit == "tokens":
            return None if self.sequence_length is None else amount.number / self.sequence_length
        if amount.unit == "epochs":
            return self._epochs(amount.number)
        assert amount.unit == "%", amount.unit
        return None if self.total_samples is None else amount.number / 100 * self.total_samples

    @property
    def epoch(self) -> Fraction | None:
        """One epoch, counted from the start of the run."""
        return self._epochs(Fraction(1))

    def _epochs(self, number: Fraction) -> Fraction | None:
        samples = None if self.num_samples is None else number * self.num_samples
        if samples is None or self.clock is None:
            return samples
        return self.clock.data(samples)

    def samples_before(self, end: Fraction | None, amount: Amount) -> Fraction | None:
        """The same for the part of the run before a place, which stages may have made of other steps and tokens."""
        if self.clock is None or end is None or amount.unit not in {"steps", "samples", "tokens"}:
            return self.samples(amount)
        unit: Unit = amount.unit  # type: ignore[assignment]
        return last_stretch(self.clock, count=end, amount=amount.number, unit=unit)


def yardstick_of(recipe: Recipe, *, global_batch_size: int, clock: StageClock | None = None) -> Yardstick:
    """The yardstick of a run; one percent is not known yet."""
    return Yardstick(
        batch=Fraction(global_batch_size),
        sequence_length=sequence_tokens(recipe),
        num_samples=num_samples_of(recipe),
        clock=clock,
    )


def num_samples_of(recipe: Recipe) -> int | None:
    """Whole samples of one epoch; None when the data's size, or what a token is worth, is not known.

    A sample is sequence_length tokens when the data is packed, mean_length tokens when that is written and it is not.
    Where stages change the length, it is the longest: the others read it in pieces.
    """
    data, length = recipe.data, _longest(recipe)
    if data.num_samples is not None:
        return int(data.num_samples.number)
    if data.num_tokens is None:
        return None
    if data.packing != "packed" and data.mean_length is not None:
        return math.floor(data.num_tokens.number / Fraction(data.mean_length))
    return None if length is None else math.floor(data.num_tokens.number / length)


def samples_of(amount: Amount, *, recipe: Recipe, global_batch_size: int) -> Fraction | None:
    """A written length (not a share) in samples; None where its unit is not known in samples."""
    return yardstick_of(recipe, global_batch_size=global_batch_size).samples(amount)


def run_tokens(recipe: Recipe) -> Fraction | None:
    """Tokens of the whole run at the batch written at the top; None where its length or its tokens are not known."""
    length, written = sequence_tokens(recipe), recipe.schedule.length
    if written is not None and written.unit == "tokens":
        return written.number
    if length is None:
        return None
    if written is None:
        epoch = num_samples_of(recipe)
        return None if epoch is None else Fraction(epoch * length)
    batch = recipe.global_batch_size
    if batch is None and recipe.global_batch_tokens is not None:
        batch = int(recipe.global_batch_tokens.number / length)
    samples = None if batch is None else samples_of(written, recipe=recipe, global_batch_size=batch)
    return None if samples is None else samples * length


def unknown_length(amount: Amount, path: str) -> Problem:
    """Why an amount cannot become samples."""
    if amount.unit == "%":
        return needs_length(f"{path}: {amount}", path)
    if amount.unit == "epochs":
        return Problem(
            code="epochs-need-data-size",
            path=path,
            message=f"`{path}: {amount}` cannot become samples: the size of the data is not written",
            hint="write data.num_samples",
        )
    return Problem(
        code="tokens-need-sequence-length",
        path=path,
        message=f"`{path}: {amount}` cannot become samples: `sequence_length` is absent",
        hint="write sequence_length, or the length in samples",
    )


def needs_length(written: str, path: str) -> Problem:
    """Why a share of the run is not known."""
    return Problem(
        code="schedule-needs-length",
        path=path,
        message=f"`{written}` depends on the length of the run, which is not known",
        hint="write schedule.length: 10000 steps, or data.num_samples",
    )


def _longest(recipe: Recipe) -> int | None:
    lengths = [stage.sequence_length or recipe.sequence_length for stage in recipe.stages]
    whole = [length for length in lengths if isinstance(length, int)]
    return max(whole) if whole else sequence_tokens(recipe)
