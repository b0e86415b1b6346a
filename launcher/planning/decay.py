"""What a decay is made of, on the clock of the run: its begin, its end, its length or time scale, and its marks."""

from __future__ import annotations

import math
from collections.abc import Iterator
from fractions import Fraction
from itertools import pairwise
from typing import NamedTuple

from launcher.errors import Problem
from launcher.planning.words import counted
from launcher.planning.yardstick import Yardstick, needs_length, unknown_length
from launcher.spec.recipe import Recipe
from launcher.units import Amount

__all__ = ["Decay", "decay_remarks", "factors_of", "solve_decay"]

_ENDLESS = {"constant", "inverse-sqrt", "step"}


class Decay(NamedTuple):
    """Counts of the clock from the start of the run, exact; None where the recipe leaves them to warmup and run."""

    length: Fraction | None = None
    """Of wsd; time scale of inverse-sqrt."""
    begin: Fraction | None = None
    end: Fraction | None = None
    marks: tuple[Fraction, ...] = ()
    shares: tuple[float, ...] = ()
    """Of the curve, behind each mark."""


def solve_decay(
    recipe: Recipe, yardstick: Yardstick, *, warmup: Fraction
) -> tuple[Decay, tuple[Problem, ...]]:
    """The decay of a run whose warmup takes so many samples, with what stands in the way."""
    shape = recipe.schedule.decay
    if shape == "constant":
        return Decay(), ()
    found = list(_needs(recipe, yardstick))
    marks = tuple(_read(recipe.schedule.decay_at, "schedule.decay_at", yardstick, found))
    if shape == "step":
        begin = end = None
    else:
        begin = (
            None if shape == "wsd" else _one(recipe.schedule.decay_starts, "decay_starts", yardstick, found)
        )
        end = (
            None
            if shape == "inverse-sqrt"
            else _one(recipe.schedule.decay_ends, "decay_ends", yardstick, found)
        )
    if found:
        return Decay(), tuple(found)
    decay = Decay(begin=begin, end=end, marks=marks, shares=_shares(recipe))
    found += [*_marks_problems(recipe, marks, warmup=warmup), *_early(recipe, decay, warmup=warmup)]
    length = None if found else _length(recipe, yardstick, decay, warmup, found)
    return (Decay(), tuple(found)) if found else (decay._replace(length=length), ())


def factors_of(recipe: Recipe) -> tuple[float, ...]:
    """The factor at every mark."""
    written = recipe.schedule.decay_factor
    return written if isinstance(written, tuple) else (written,) * len(recipe.schedule.decay_at)


def decay_remarks(recipe: Recipe, decay: Decay, *, total: Fraction | None) -> tuple[Problem, ...]:
    """A warning where the run ends before its decay begins or gets to a mark."""
    if total is None:
        return ()
    found = []
    if decay.begin is not None and decay.begin >= total:
        found.append(("schedule.decay_starts", str(recipe.schedule.decay_starts), decay.begin))
    found += [
        ("schedule.decay_at", str(amount), mark)
        for amount, mark in zip(recipe.schedule.decay_at, decay.marks, strict=False)
        if mark >= total
    ][:1]
    return tuple(
        Problem(
            code="decay-behind-the-run",
            severity="warning",
            path=path,
            message=f"`{path}: {text}` is never passed: the run ends before",
            because=(f"{math.floor(at)} >= length {math.floor(total)} samples",),
            hint="write a longer schedule.length if that is not meant",
        )
        for path, text, at in found
    )


def _needs(recipe: Recipe, yardstick: Yardstick) -> Iterator[Problem]:
    """Keys that a shape cannot do without."""
    schedule = recipe.schedule
    shape = f"schedule.decay: {schedule.decay}"
    if schedule.decay not in _ENDLESS and schedule.decay_ends is None and yardstick.total_samples is None:
        yield needs_length(shape, "schedule.decay")
    elif schedule.decay == "wsd" and schedule.decay_length is None:
        yield _needs_decay_length(
            "`schedule.decay: wsd` needs `schedule.decay_length`, which is absent", "10 %"
        )
    if schedule.decay == "step" and not schedule.decay_at:
        yield Problem(
            code="schedule-needs-decay-at",
            path="schedule.decay",
            message=f"`{shape}` needs `schedule.decay_at`, which is absent",
            hint="write schedule.decay_at: [30 epochs, 60 epochs, 80 epochs]",
        )


def _needs_decay_length(message: str, example: str) -> Problem:
    return Problem(
        code="schedule-needs-decay-length",
        path="schedule.decay",
        message=message,
        hint=f"write schedule.decay_length: {example}",
    )


def _one(amount: Amount | None, key: str, yardstick: Yardstick, problems: list[Problem]) -> Fraction | None:
    found = () if amount is None else tuple(_read((amount,), f"schedule.{key}", yardstick, problems))
    return found[0] if found else None


def _read(
    amounts: tuple[Amount, ...], path: str, yardstick: Yardstick, problems: list[Problem]
) -> Iterator[Fraction]:
    """Amounts from the start of the run as counts of the clock; what cannot be one joins the problems."""
    for amount in amounts:
        count = yardstick.samples(amount)
        if count is None:
            problems.append(unknown_length(amount, path))
            return
        yield count


def _shares(recipe: Recipe) -> tuple[float, ...]:
    """What is left behind each mark: products of the factors as they were written, 0.1 x 0.1 = 0.01."""
    left, found = Fraction(1), []
    for factor in factors_of(recipe):
        left *= Fraction(repr(factor))
        found.append(float(left))
    return tuple(found)


def _marks_problems(recipe: Recipe, marks: tuple[Fraction, ...], *, warmup: Fraction) -> Iterator[Problem]:
    schedule = recipe.schedule
    written = f"schedule.decay_at: [{', '.join(map(str, schedule.decay_at))}]"
    if marks and marks[0] == 0:
        yield Problem(
            code="decay-marks",
            path="schedule.decay_at",
            message=f"`{written}` begins where the run begins: no step trains before the mark",
            hint="drop the first mark, and write the rate that is left behind it as the peak",
        )
    elif marks and marks[0] < warmup:
        yield Problem(
            code="decay-marks",
            path="schedule.decay_at",
            message=f"`{written}` begins before the warmup is over",
            because=(f"{math.floor(marks[0])} < warmup {math.floor(warmup)} samples",),
            hint="write later marks, or a shorter warmup",
        )
    if any(earlier >= later for earlier, later in pairwise(marks)):
        yield Problem(
            code="decay-marks",
            path="schedule.decay_at",
            message=f"`{written}` does not rise from mark to mark",
            hint="write the marks in order, each once, counted from the start of the run",
        )
    if len(factors_of(recipe)) != len(marks):
        yield Problem(
            code="decay-marks",
            path="schedule.decay_factor",
            message=f"`schedule.decay_factor` has {counted(len(factors_of(recipe)), 'factor')} for "
            f"{counted(len(marks), 'mark')} of `schedule.decay_at`",
            hint="write one factor for all marks, or as many as there are marks",
        )


def _early(recipe: Recipe, decay: Decay, *, warmup: Fraction) -> Iterator[Problem]:
    """An end at or before the begin: the rate would fall at once."""
    begin = warmup if decay.begin is None else decay.begin
    if decay.end is None or decay.end > begin:
        return
    start = (
        "the warmup is over"
        if decay.begin is None
        else f"schedule.decay_starts: {recipe.schedule.decay_starts}"
    )
    yield Problem(
        code="decay-ends-early",
        path="schedule.decay_ends",
        message=f"`schedule.decay_ends: {recipe.schedule.decay_ends}` is not behind the place where the decay begins",
        because=(f"{math.floor(decay.end)} <= {math.floor(begin)} samples, where {start}",),
        hint=f"write an end behind {math.floor(begin)} samples",
    )


def _length(
    recipe: Recipe, yardstick: Yardstick, decay: Decay, warmup: Fraction, problems: list[Problem]
) -> Fraction | None:
    """Length of wsd, before its end; time scale of inverse-sqrt, from the start of the run."""
    shape, written = recipe.schedule.decay, recipe.schedule.decay_length
    if shape == "inverse-sqrt":
        scale = _one(written, "decay_length", yardstick, problems)
        if written is None:
            scale = warmup if decay.begin is None else decay.begin
        if scale == 0 and not problems:
            lacks = "a `schedule.decay_length` above 0" if written is not None else "`schedule.decay_length`"
            words = f"`schedule.decay: inverse-sqrt` without a warmup needs {lacks} as its time scale"
            problems.append(_needs_decay_length(words, "10000 steps"))
        return scale
    if shape != "wsd" or written is None:
        return None
    end = yardstick.total_samples if decay.end is None else decay.end
    samples = yardstick.samples_before(end, written)
    if samples is None or end is None:
        problems.append(unknown_length(written, "schedule.decay_length"))
    elif samples > end - warmup:
        problems.append(_too_long(recipe, samples=samples, warmup=warmup, end=end))
    return samples


def _too_long(recipe: Recipe, *, samples: Fraction, warmup: Fraction, end: Fraction) -> Problem:
    word = "length" if recipe.schedule.decay_ends is None else "decay_ends"
    return Problem(
        code="decay-longer-than-run",
        path="schedule.decay_length",
        message=f"`schedule.decay_length: {recipe.schedule.decay_length}` does not fit between the warmup and the end",
        because=(
            f"decay {math.floor(samples)} + warmup {math.floor(warmup)} > {word} {math.floor(end)} samples",
        ),
        hint=f"use at most {max(0, math.floor(end - warmup))} samples, or a shorter warmup",
    )
