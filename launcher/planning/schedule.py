"""Warmup, decay and length of a run in samples, whatever unit they were written in."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from fractions import Fraction

from launcher.errors import Problem
from launcher.planning.model import sequence_tokens
from launcher.planning.scaling import reference_batch
from launcher.planning.solved import Solved
from launcher.spec.recipe import Recipe
from launcher.units import Amount

__all__ = ["Timeline", "num_samples_of", "samples_of", "solve_timeline"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Timeline:
    """Lengths in samples, exact; steps are whole."""

    num_samples: int | None
    """Of one epoch."""
    warmup_samples: Fraction
    warmup_steps: int
    decay_samples: Fraction | None
    total_samples: Fraction | None
    total_steps: int | None
    ended_by_data: bool
    """Whether the run ends where an epoch, or a part of one, ends: its last step may then be partial."""
    last_step_samples: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Yardstick:
    """What one step, one token, one epoch and one percent are in samples; None where that is not known."""

    batch: Fraction
    sequence_length: int | None
    num_samples: int | None
    total_samples: Fraction | None = None

    def samples(self, amount: Amount) -> Fraction | None:
        if amount.unit == "samples":
            return amount.number
        if amount.unit == "steps":
            return amount.number * self.batch
        if amount.unit == "tokens":
            return None if self.sequence_length is None else amount.number / self.sequence_length
        if amount.unit == "epochs":
            return None if self.num_samples is None else amount.number * self.num_samples
        assert amount.unit == "%", amount.unit
        return None if self.total_samples is None else amount.number / 100 * self.total_samples


def num_samples_of(recipe: Recipe) -> int | None:
    """Whole samples of one epoch; None when the data's size, or what a token is worth, is not known.

    A sample is sequence_length tokens when the data is packed, mean_length tokens when that is written and it is not.
    """
    data, length = recipe.data, sequence_tokens(recipe)
    if data.num_samples is not None:
        return int(data.num_samples.number)
    if data.num_tokens is None:
        return None
    if data.packing != "packed" and data.mean_length is not None:
        return math.floor(data.num_tokens.number / Fraction(data.mean_length))
    return None if length is None else math.floor(data.num_tokens.number / length)


def samples_of(amount: Amount, *, recipe: Recipe, global_batch_size: int) -> Fraction | None:
    """A written length (not a share) in samples; None where its unit is not known in samples."""
    return _yardstick(recipe, global_batch_size).samples(amount)


def solve_timeline(*, recipe: Recipe, global_batch_size: int) -> Solved[Timeline]:
    """Warmup, decay and length of the run at one global batch (sequences per step)."""
    yardstick = _yardstick(recipe, global_batch_size)
    problems = list(_data_problems(recipe, global_batch_size, yardstick.num_samples))
    length, length_problems = _length(recipe, yardstick)
    yardstick = replace(yardstick, total_samples=length)
    warmup, warmup_problems = _warmup(recipe, yardstick)
    decay, decay_problems = _decay(recipe, yardstick, warmup)
    unknown = length is None and bool(length_problems)
    problems += [*length_problems, *(() if unknown else (*warmup_problems, *decay_problems))]
    if not problems:
        problems += _warmup_remark(recipe, warmup, length)
        timeline = _timeline(recipe, yardstick, warmup, decay)
        if timeline.total_steps != 0:
            return Solved(value=timeline, problems=tuple(problems))
        problems.append(_nothing_left(recipe, global_batch_size))
    return Solved(value=None, problems=tuple(problems))


def _yardstick(recipe: Recipe, global_batch_size: int) -> _Yardstick:
    return _Yardstick(
        batch=Fraction(global_batch_size),
        sequence_length=sequence_tokens(recipe),
        num_samples=num_samples_of(recipe),
    )


def _timeline(recipe: Recipe, yardstick: _Yardstick, warmup: Fraction, decay: Fraction | None) -> Timeline:
    total, batch = yardstick.total_samples, int(yardstick.batch)
    by_data = total is not None and (
        recipe.schedule.length is None or recipe.schedule.length.unit == "epochs"
    )
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
        decay_samples=decay,
        total_samples=total,
        total_steps=steps,
        ended_by_data=by_data,
        last_step_samples=last,
    )


def _length(recipe: Recipe, yardstick: _Yardstick) -> tuple[Fraction | None, tuple[Problem, ...]]:
    written = recipe.schedule.length
    if written is None:
        return (None if yardstick.num_samples is None else Fraction(yardstick.num_samples)), ()
    if written.number == 0:
        problem = Problem(
            code="out-of-range",
            path="schedule.length",
            message=f"`schedule.length: {written}` is no run; expected more than 0",
            hint="write schedule.length: 1000 steps",
        )
        return None, (problem,)
    samples = yardstick.samples(written)
    return samples, () if samples is not None else (_unknown(written, "schedule.length"),)


def _warmup(recipe: Recipe, yardstick: _Yardstick) -> tuple[Fraction, tuple[Problem, ...]]:
    written, keeps = recipe.schedule.warmup, recipe.schedule.warmup_keeps
    if written is None:
        return Fraction(0), ()
    reference = reference_batch(recipe) or yardstick.batch
    at = yardstick if keeps == "unit" else replace(yardstick, batch=reference)
    samples = at.samples(written)
    if samples is None:
        return Fraction(0), (_unknown(written, "schedule.warmup"),)
    # the reference run warmed up over `samples`; steps stay, so samples follow the batch
    return (samples / reference * yardstick.batch if keeps == "steps" else samples), ()


def _decay(
    recipe: Recipe, yardstick: _Yardstick, warmup: Fraction
) -> tuple[Fraction | None, tuple[Problem, ...]]:
    schedule, total = recipe.schedule, yardstick.total_samples
    if schedule.decay == "constant":
        return None, ()
    if total is None:
        return None, (_needs_length(f"schedule.decay: {schedule.decay}", "schedule.decay"),)
    if schedule.decay != "wsd":
        return None, ()
    if schedule.decay_length is None:
        problem = Problem(
            code="schedule-needs-decay-length",
            path="schedule.decay",
            message="`schedule.decay: wsd` needs `schedule.decay_length`, which is absent",
            hint="write schedule.decay_length: 10 %",
        )
        return None, (problem,)
    samples = yardstick.samples(schedule.decay_length)
    if samples is None:
        return None, (_unknown(schedule.decay_length, "schedule.decay_length"),)
    if samples > total - warmup:
        return None, (_decay_too_long(recipe, samples=samples, warmup=warmup, total=total),)
    return samples, ()


def _decay_too_long(recipe: Recipe, *, samples: Fraction, warmup: Fraction, total: Fraction) -> Problem:
    return Problem(
        code="decay-longer-than-run",
        path="schedule.decay_length",
        message=f"`schedule.decay_length: {recipe.schedule.decay_length}` does not fit between the warmup and the end",
        because=(
            f"decay {math.floor(samples)} + warmup {math.floor(warmup)} > length {math.floor(total)} samples",
        ),
        hint=f"use at most {max(0, math.floor(total - warmup))} samples, or a shorter warmup",
    )


def _unknown(amount: Amount, path: str) -> Problem:
    """Why an amount cannot become samples."""
    if amount.unit == "%":
        return _needs_length(f"{path}: {amount}", path)
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


def _needs_length(written: str, path: str) -> Problem:
    return Problem(
        code="schedule-needs-length",
        path=path,
        message=f"`{written}` depends on the length of the run, which is not known",
        hint="write schedule.length: 10000 steps, or data.num_samples",
    )


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
        return (_unknown(replace(data.num_tokens, unit="tokens"), "data.num_tokens"),)
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


def _warmup_remark(recipe: Recipe, warmup: Fraction, total: Fraction | None) -> tuple[Problem, ...]:
    if total is None or warmup <= total:
        return ()
    return (
        Problem(
            code="warmup-longer-than-run",
            severity="warning",
            path="schedule.warmup",
            message=f"`schedule.warmup: {recipe.schedule.warmup}` ends after the run: the peak is never reached",
            because=(f"warmup {math.floor(warmup)} > length {math.floor(total)} samples",),
            hint="shorten schedule.warmup if that is not meant",
        ),
    )
