"""Warmup, decay and length of a run in samples, whatever unit they were written in."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from fractions import Fraction

from launcher.errors import Problem
from launcher.planning.decay import Decay, decay_remarks, solve_decay
from launcher.planning.solved import Solved
from launcher.planning.stages.timeline import ClockLengths, StageClock, end_of_run
from launcher.planning.warmup import solve_warmup, warmup_remarks
from launcher.planning.yardstick import (
    Yardstick,
    num_samples_of,
    samples_of,
    unknown_length,
    yardstick_of,
)
from launcher.spec.recipe import Recipe

__all__ = ["Timeline", "num_samples_of", "samples_of", "solve_timeline"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Timeline:
    """Lengths in samples, exact; steps are whole."""

    num_samples: int | None
    """Of one epoch."""
    warmup_samples: Fraction
    warmup_steps: int
    decay: Decay
    total_samples: Fraction | None
    total_steps: int | None
    ended_by_data: bool
    """Whether the run ends where an epoch, or a part of one, ends: its last step may then be partial."""
    last_step_samples: int | None
    on_clock: ClockLengths | None = None
    """The lengths that the learning rate goes by, where the run has stages; None: those above."""


def solve_timeline(
    *, recipe: Recipe, global_batch_size: int, clock: StageClock | None = None
) -> Solved[Timeline]:
    """Warmup, decay and length of the run at one global batch (sequences per step), or through its stages."""
    yardstick = yardstick_of(recipe, global_batch_size=global_batch_size, clock=clock)
    problems = list(_data_problems(recipe, global_batch_size, yardstick.num_samples))
    length, length_problems = _length(recipe, yardstick)
    yardstick = replace(yardstick, total_samples=length)
    warmup, warmup_problems = solve_warmup(recipe, yardstick)
    decay, decay_problems = solve_decay(recipe, yardstick, warmup=warmup)
    unknown = length is None and bool(length_problems)
    problems += [*length_problems, *(() if unknown else (*warmup_problems, *decay_problems))]
    if not problems:
        problems += warmup_remarks(recipe, yardstick, warmup=warmup, total=length)
        problems += decay_remarks(recipe, decay, total=length)
        timeline = _timeline(recipe, yardstick, warmup, decay)
        if timeline.total_steps != 0:
            return Solved(value=timeline, problems=tuple(problems))
        problems.append(_nothing_left(recipe, global_batch_size))
    return Solved(value=None, problems=tuple(problems))


def _timeline(recipe: Recipe, yardstick: Yardstick, warmup: Fraction, decay: Decay) -> Timeline:
    total, batch = yardstick.total_samples, int(yardstick.batch)
    by_data = total is not None and (
        recipe.schedule.length is None or recipe.schedule.length.unit == "epochs"
    )
    if yardstick.clock is not None:
        return _through_stages(recipe, yardstick, yardstick.clock, warmup, decay, by_data=by_data)
    steps = last = None
    if total is not None and by_data:
        whole = math.floor(total)  # half a sample is never trained
        steps = whole // batch if recipe.data.drop_last else -(-whole // batch)
        last = min(batch, whole - (steps - 1) * batch)
        total = Fraction(steps * batch) if recipe.data.drop_last else total
    elif total is not None:
        steps, last = math.ceil(total / batch), batch
    return Timeline(
        num_samples=yardstick.num_samples,
        warmup_samples=warmup,
        warmup_steps=math.ceil(warmup / batch),
        decay=decay,
        total_samples=total,
        total_steps=steps,
        ended_by_data=by_data,
        last_step_samples=last,
    )


def _through_stages(
    recipe: Recipe,
    yardstick: Yardstick,
    clock: StageClock,
    warmup: Fraction,
    decay: Decay,
    *,
    by_data: bool,
) -> Timeline:
    total, end = yardstick.total_samples, None
    if total is not None:
        end = end_of_run(clock, count=total, by_data=by_data, drop_last=recipe.data.drop_last)
        total = clock.count(end.total_samples, given="samples")
    return Timeline(
        num_samples=yardstick.num_samples,
        warmup_samples=clock.read(warmup, wanted="samples"),
        warmup_steps=math.ceil(clock.read(warmup, wanted="steps")),
        decay=decay,
        total_samples=None if end is None else end.total_samples,
        total_steps=None if end is None else end.steps,
        ended_by_data=by_data,
        last_step_samples=None if end is None else end.last_step_samples,
        on_clock=ClockLengths(warmup_samples=warmup, total_samples=total),
    )


def _length(recipe: Recipe, yardstick: Yardstick) -> tuple[Fraction | None, tuple[Problem, ...]]:
    written = recipe.schedule.length
    if written is None:
        return yardstick.epoch, ()
    if written.number == 0:
        problem = Problem(
            code="out-of-range",
            path="schedule.length",
            message=f"`schedule.length: {written}` is no run; expected more than 0",
            hint="write schedule.length: 1000 steps",
        )
        return None, (problem,)
    samples = yardstick.samples(written)
    return samples, () if samples is not None else (unknown_length(written, "schedule.length"),)


def _data_problems(recipe: Recipe, global_batch_size: int, num_samples: int | None) -> tuple[Problem, ...]:
    data = recipe.data
    if data.num_tokens is not None and data.num_samples is not None:
        problem = Problem(
            code="ambiguous-data-size",
            path="data.num_samples",
            message=f"`data.num_tokens: {data.num_tokens}` and `data.num_samples: {data.num_samples}` are both "
            "written; expected one of them",
            hint="keep data.num_samples",
        )
        return (problem,)
    if num_samples is None and data.num_tokens is not None:
        return (unknown_length(replace(data.num_tokens, unit="tokens"), "data.num_tokens"),)
    if num_samples is not None and global_batch_size > num_samples:
        return (_larger_than_data(recipe, global_batch_size, num_samples),)
    return ()


def _larger_than_data(recipe: Recipe, global_batch_size: int, num_samples: int) -> Problem:
    data = recipe.data
    because = (
        ()
        if data.num_samples is not None
        else (f"{num_samples} = {data.num_tokens} tokens in whole samples",)
    )
    return Problem(
        code="batch-larger-than-data",
        path="global_batch_tokens" if recipe.global_batch_size is None else "global_batch_size",
        message=f"`global_batch_size: {global_batch_size}` needs more samples than the {num_samples} of an epoch"
        if recipe.global_batch_size is not None
        else f"`global_batch_tokens: {recipe.global_batch_tokens}` needs {global_batch_size} samples, more than the "
        f"{num_samples} of an epoch",
        because=because,
        hint=f"use a batch of at most {num_samples}, or more data",
    )


def _nothing_left(recipe: Recipe, global_batch_size: int) -> Problem:
    return Problem(
        code="batch-larger-than-data",
        path="schedule.length",
        message=f"`schedule.length: {recipe.schedule.length}` holds no whole step of {global_batch_size} samples",
        because=("data.drop_last drops the partial one",) if recipe.data.drop_last else (),
        hint="use a smaller batch or a longer run",
    )
