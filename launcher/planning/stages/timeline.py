"""Steps, samples and tokens of a run through all its stages: one of the three, exactly, from another."""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from typing import Literal, NamedTuple

from launcher.planning.stages.whole_sequences import steps_to_whole_sequence

__all__ = [
    "ClockLengths",
    "Course",
    "End",
    "Leg",
    "StageClock",
    "Unit",
    "end_of_run",
    "last_stretch",
    "lay_out",
]

Unit = Literal["steps", "samples", "tokens"]


class Leg(NamedTuple):
    """A stretch of equal steps; what came before it counts from the start of the run."""

    steps_before: int
    samples_before: int
    tokens_before: int | None
    steps: int | None
    """None: without an end."""
    global_batch_size: int
    sequence_length: int | None

    def per_step(self, unit: Unit) -> int | None:
        """What one step adds, in a unit."""
        if unit == "steps":
            return 1
        if unit == "samples":
            return self.global_batch_size
        return None if self.sequence_length is None else self.global_batch_size * self.sequence_length

    def before(self, unit: Unit) -> int | None:
        """What the run had taken when the leg begins, in a unit."""
        return {"steps": self.steps_before, "samples": self.samples_before, "tokens": self.tokens_before}[
            unit
        ]

    def after(self) -> Leg:
        """The same leg once more, behind this one; only where it ends."""
        assert self.steps is not None
        tokens = self.per_step("tokens")
        return self._replace(
            steps_before=self.steps_before + self.steps,
            samples_before=self.samples_before + self.steps * self.global_batch_size,
            tokens_before=None
            if self.tokens_before is None or tokens is None
            else self.tokens_before + self.steps * tokens,
        )


@dataclass(frozen=True, slots=True)
class Course:
    """All legs of a run, in order; the last one has no end of its own."""

    legs: tuple[Leg, ...]

    def convert(self, amount: int | Fraction, *, given: Unit, wanted: Unit) -> Fraction | None:
        """An amount counted from the start of the run in another unit, exact; None where sequences have no length.

        Inside a step all three grow together, so that half a step is half its samples and half its tokens.
        """
        if given == wanted:
            return Fraction(amount)
        leg = self._leg_at(amount, given)
        if leg is None:
            return None
        start, rate = leg.before(given), leg.per_step(given)
        begin, gain = leg.before(wanted), leg.per_step(wanted)
        if start is None or rate is None or begin is None or gain is None:
            return None
        return begin + (Fraction(amount) - start) / rate * gain

    def steps_to(self, amount: int | Fraction, *, given: Unit) -> int | None:
        """Steps after which the run has taken at least an amount."""
        steps = self.convert(amount, given=given, wanted="steps")
        return None if steps is None else math.ceil(steps)

    def leg_of(self, step: int) -> int:
        """Which leg an optimizer step (from 1) belongs to, from 0."""
        return max(place for place, leg in enumerate(self.legs) if leg.steps_before < step)

    def _leg_at(self, amount: int | Fraction, unit: Unit) -> Leg | None:
        found = None
        for leg in self.legs:
            begin = leg.before(unit)
            if begin is None:
                return None
            if found is None or begin < amount:
                found = leg
        return found


@dataclass(frozen=True, slots=True, kw_only=True)
class StageClock:
    """What the learning rate of a run with stages is a function of: samples, or tokens as samples of one length."""

    course: Course
    sequence_length: int | None = None
    """Tokens that count as one sample; None: the clock shows samples."""
    data_length: int | None = None
    """Tokens of one sample of the data, where stages of other lengths read it in pieces; None: one sequence each."""

    def count(self, amount: int | Fraction, *, given: Unit) -> Fraction | None:
        """What the clock shows once the run has taken an amount; None where tokens are not known."""
        if self.sequence_length is None:
            return self.course.convert(amount, given=given, wanted="samples")
        tokens = self.course.convert(amount, given=given, wanted="tokens")
        return None if tokens is None else tokens / self.sequence_length

    def data(self, samples: int | Fraction) -> Fraction:
        """What the clock shows once the run has read a number of the data's samples."""
        if self.data_length is None:
            count = self.count(samples, given="samples")
        else:
            count = self.count(samples * self.data_length, given="tokens")
        assert count is not None
        return count

    def whole_samples(self, samples: Fraction) -> Fraction:
        """Sequences that the run has taken with the last whole sample of the data up to a count of sequences."""
        if self.data_length is None:
            return Fraction(math.floor(samples))  # half a sample is never trained
        tokens = self.course.convert(samples, given="samples", wanted="tokens")
        assert tokens is not None
        whole = tokens // self.data_length * self.data_length
        taken = self.course.convert(whole, given="tokens", wanted="samples")
        assert taken is not None
        return Fraction(math.floor(taken))

    def read(self, count: Fraction, *, wanted: Unit) -> Fraction:
        """What the run has taken when the clock shows a count."""
        length = self.sequence_length
        given: Unit = "samples" if length is None else "tokens"
        amount = self.course.convert(count * (length or 1), given=given, wanted=wanted)
        assert amount is not None
        return amount


@dataclass(frozen=True, slots=True, kw_only=True)
class ClockLengths:
    """Lengths of a schedule as its clock counts them."""

    warmup_samples: Fraction
    total_samples: Fraction | None


class End(NamedTuple):
    """Where a run ends: steps, sequences in the last one, and samples, which the last step may pass."""

    steps: int
    last_step_samples: int
    total_samples: Fraction


def end_of_run(clock: StageClock, *, count: Fraction, by_data: bool, drop_last: bool) -> End:
    """The end of a run whose clock shows `count` there.

    by_data: the data are over there: the last step is partial, or dropped.
    """
    course, total = clock.course, clock.read(count, wanted="samples")
    if by_data:
        total = clock.whole_samples(total)
    exact = course.convert(total, given="samples", wanted="steps")
    assert exact is not None
    steps = math.floor(exact) if by_data and drop_last else math.ceil(exact)
    if steps == 0:
        return End(0, 0, Fraction(0))
    before = course.convert(steps - 1, given="steps", wanted="samples")
    assert before is not None
    full = course.legs[course.leg_of(steps)].global_batch_size
    last = min(full, int(total - before)) if by_data else full
    return End(steps, last, before + last if by_data and drop_last else total)


def last_stretch(clock: StageClock, *, count: Fraction, amount: Fraction, unit: Unit) -> Fraction:
    """How far the clock moves over the last `amount` of a run at whose end it shows `count`."""
    begin = clock.read(count, wanted=unit) - amount
    moved = clock.count(max(Fraction(0), begin), given=unit)
    assert moved is not None
    return count - moved


class Part(NamedTuple):
    """A stage as it is laid out."""

    global_batch_size: int
    sequence_length: int | None
    end: tuple[Fraction, Unit] | None
    """Its mark, from the start of the run."""


def lay_out(parts: tuple[Part, ...]) -> tuple[Leg, ...]:
    """The legs of stages; the mark of the last one is not looked at.

    A leg ends with the first step at or past its mark; before a leg of another length, with the first such step after
    which that one begins on a whole sequence. It holds no step, 0, where the legs before it are already past the mark,
    and -1 where no number of steps ends on a whole sequence.
    Source: a step whose consumed samples are at or past a threshold takes the batch behind it,
    NVIDIA/Megatron-LM@d98e8a64 core/num_microbatches_calculator.py:StepBatchsizeNumMicroBatchesCalculator.
    """
    legs: list[Leg] = []
    start = (0, 0, None if any(part.sequence_length is None for part in parts) else 0)
    for part, following in pairwise((*parts, None)):
        assert part is not None
        leg = Leg(*start, None, part.global_batch_size, part.sequence_length)
        if following is not None:
            leg = leg._replace(steps=_steps(leg, part, following))
            start = leg.after()[:3]
        legs.append(leg)
    return tuple(legs)


def _steps(leg: Leg, part: Part, following: Part) -> int:
    assert part.end is not None
    amount, unit = part.end
    begin, gain = leg.before(unit), leg.per_step(unit)
    assert begin is not None
    assert gain is not None
    steps = max(0, math.ceil((amount - begin) / gain))
    tokens, length = leg.per_step("tokens"), following.sequence_length
    if steps == 0 or length == part.sequence_length or tokens is None or length is None:
        return steps
    assert leg.tokens_before is not None
    whole = steps_to_whole_sequence(
        steps=steps, tokens_before=leg.tokens_before, tokens_per_step=tokens, next_length=length
    )
    return -1 if whole is None else whole
