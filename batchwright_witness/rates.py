"""Does the learning rate that was used follow the plan's curve? Stacks number their steps differently; that is allowed.

A curve is followed when one convention and one parameter group explain every step so far. Where the plan has drawn the
curve of the stack that owns the schedule, its convention is in the curve, and nothing is allowed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from fractions import Fraction
from typing import TYPE_CHECKING, Any, NamedTuple

from batchwright_witness.stack_rates import Draw, same

if TYPE_CHECKING:
    from launcher.spec.plan import LearningRatePlan, SchedulePlan

__all__ = ["TOLERANCE", "Convention", "RateCheck"]

TOLERANCE = 1e-4
"""Relative. Schedulers compute in doubles and agree to 1e-12; a warmup one step off in 2000 is already 5e-4."""

At = Callable[..., float]


class Convention(NamedTuple):
    """How a stack turns a step number into a place on the curve."""

    words: str
    lag: int
    """Steps behind: the step that brings the count to s is trained at f(s), f(s - batch) or f(s - 2 batches)."""
    warmup_of_one_more: bool = False


CONVENTIONS = (
    Convention("as planned", 0),
    # Source: transformers@5.23.0 optimization.py:_get_linear_schedule_with_warmup_lr_lambda (step k uses (k-1)/W)
    Convention("one step behind the plan", 1),
    # Source: deepspeed@0.19.8 runtime/lr_schedules.py:WarmupLR (rate 0 for the first two steps)
    Convention("two steps behind the plan", 2),
    # Source: nanoGPT@3adf61e train.py:get_lr ((it + 1) / (warmup_iters + 1), then one step behind)
    Convention("as planned, with a warmup of one step more", 1, warmup_of_one_more=True),
)


class _Reading(NamedTuple):
    """One explanation of what was seen: a group's rate is the plan's under this convention."""

    group: int
    convention: Convention
    schedule: SchedulePlan
    counts_skipped: bool


class RateCheck:
    """The learning rates of one optimizer against the plan's curve, step by step."""

    def __init__(
        self, *, planned: LearningRatePlan, global_batch_size: int, rate_at: At, draw: Draw | None = None
    ) -> None:
        self._planned, self._batch, self._rate_at = planned, global_batch_size, rate_at
        self._draw = None if planned.compiled is None else draw
        self._schedules = tuple(_roundings(planned, global_batch_size))
        self._readings: list[_Reading] | None = None
        self._words: str | None = None
        self.steps = 0
        self.contradicted: tuple[int, float, float] | None = None
        """The first step that nothing explains: its number, the rate planned, the rate found."""

    def see(self, *, done: int, tried: int, rates: Sequence[float]) -> bool:
        """One optimizer step: True while an explanation holds.

        done: the step's number, from 1. tried: the same with steps that were skipped for overflowed gradients.
        """
        if self.contradicted:
            return False
        self.steps += 1
        if self._readings is None:
            self._readings = list(self._all_readings(len(rates), tried != done))
        may_count = self._draw is None or self._stack_may_count_skipped
        if tried != done and may_count and not any(reading.counts_skipped for reading in self._readings):
            self._readings += [reading._replace(counts_skipped=True) for reading in self._readings]
        before = self._readings
        self._readings = [
            reading
            for reading in before
            if reading.group < len(rates) and self._explains(reading, done, tried, rates[reading.group])
        ]
        if self.agreed:
            # which marks it goes by is seen at the marks, long behind the warmup
            each = {(one.convention, one.schedule.decay_marks): one for one in reversed(self._readings)}
            self._readings = list(each.values())[::-1]
        if self._readings:
            self._words = self._readings[0].convention.words
        else:
            kept = before[0]
            self.contradicted = (
                done,
                self._expected(kept, done, tried),
                rates[min(kept.group, len(rates) - 1)],
            )
        return not self.contradicted

    @property
    def agreed(self) -> bool:
        """Two steps or more, all explained."""
        return self.steps >= 2 and not self.contradicted

    @property
    def group(self) -> int:
        """The parameter group that follows the curve."""
        return self._readings[0].group if self._readings else 0

    @property
    def words(self) -> str | None:
        """The explanation that holds, or held until the curve was left."""
        return self._words

    @property
    def _stack_may_count_skipped(self) -> bool:
        """The engine, Accelerate and the Trainer do not advance a schedule after a step that was skipped."""
        compiled = self._planned.compiled
        return compiled is not None and compiled.stack == "transformers"

    def _all_readings(self, groups: int, skipped: bool) -> Iterator[_Reading]:
        if self._draw is not None:
            yield from self._readings_of_stack(groups, skipped)
            return
        for schedule in self._schedules:
            for convention in CONVENTIONS:
                for group in range(groups):
                    yield _Reading(group, convention, schedule, counts_skipped=False)
                    if skipped:
                        yield _Reading(group, convention, schedule, counts_skipped=True)

    def _readings_of_stack(self, groups: int, skipped: bool) -> Iterator[_Reading]:
        """The stack's own curve; a schedule that the script steps itself may count skipped steps, too."""
        compiled = self._planned.compiled
        assert compiled is not None
        planned = Convention(f"as {compiled.scheduler} draws it", 0)
        counts = (False, True) if skipped and self._stack_may_count_skipped else (False,)
        for group in range(groups):
            for count in counts:
                yield _Reading(group, planned, self._planned.schedule, counts_skipped=count)

    def _explains(self, reading: _Reading, done: int, tried: int, found: float) -> bool:
        expected = self._expected(reading, done, tried)
        if self._draw is not None:
            return same(found, expected, peak=reading.schedule.peak_learning_rate)
        return abs(found - expected) <= max(
            TOLERANCE * abs(expected), 1e-9 * reading.schedule.peak_learning_rate
        )

    def _expected(self, reading: _Reading, done: int, tried: int) -> float:
        step = tried if reading.counts_skipped else done
        if self._draw is not None:
            peak = self._planned.peak_learning_rate
            return self._draw(self._planned.compiled, peak=peak, step=step)
        schedule, convention = reading.schedule, reading.convention
        warmup = schedule.warmup_samples
        if convention.warmup_of_one_more and step * self._batch <= warmup:
            share = float(step * self._batch / (warmup + self._batch))
            return schedule.start_learning_rate + share * (
                schedule.peak_learning_rate - schedule.start_learning_rate
            )
        return self._rate_at(schedule=schedule, samples=max(0, step - convention.lag) * self._batch)


def _roundings(planned: LearningRatePlan, batch: int) -> Iterator[SchedulePlan]:
    """The exact curve, and the one a script draws that was told whole steps ({warmup_steps}, {total_steps})."""
    exact = planned.schedule
    yield exact
    yield from _marks_apart(exact, batch)
    changes: dict[str, Any] = {"warmup_samples": Fraction(planned.warmup_steps * batch)}
    if exact.total_samples is not None and planned.total_steps is not None:
        changes["total_samples"] = Fraction(planned.total_steps * batch)
    rounded = replace(exact, **changes)
    if rounded != exact:
        yield rounded
        yield from _marks_apart(rounded, batch)


def _marks_apart(schedule: SchedulePlan, batch: int) -> Iterator[SchedulePlan]:
    """The same with marks in whole steps, or a step earlier: a late warmup says nothing of where the rate falls.

    Source: torch@2.13 optim/lr_scheduler.py:MultiStepLR falls for the step behind its milestone.
    """
    marks = schedule.decay_marks
    whole = tuple(Fraction(-(-mark // batch) * batch) for mark in marks)
    others = {tuple(mark - back for mark in each) for each in (marks, whole) for back in (0, batch)}
    for each in sorted(others - {marks}):
        yield replace(schedule, decay_marks=each)
