"""The learning-rate block: peak, schedule, and the points of its curve worth seeing."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction

from launcher.planning.learning_rate import learning_rate_at, learning_rate_of_step
from launcher.planning.model import sequence_tokens
from launcher.planning.origins import default, derived, written_or
from launcher.planning.peak_rate import Rate
from launcher.planning.schedule import Timeline
from launcher.planning.stages.written import counts_tokens
from launcher.planning.warmup import who_keeps
from launcher.spec.marks import Origin
from launcher.spec.plan import LearningRatePlan, SchedulePlan
from launcher.spec.recipe import Recipe

__all__ = ["curve_steps", "learning_rate_origins", "learning_rate_plan", "owner_of", "schedule_plan"]

_POINTS_AFTER_WARMUP = 20


def owner_of(recipe: Recipe) -> str:
    """Who applies the schedule: runtime, script, script:NAME or engine:NAME."""
    if recipe.schedule.owner != "auto":
        return recipe.schedule.owner
    return "runtime" if recipe.launch.runtime else "script"


def schedule_plan(*, recipe: Recipe, rate: Rate, timeline: Timeline) -> SchedulePlan:
    """The function of samples that every step's learning rate is read from."""
    schedule = recipe.schedule
    stays = schedule.decay in {"constant", "step"}
    final = rate.peak if stays else _as_written(rate.peak, schedule.final_learning_rate_ratio)
    lengths, by_tokens, decay = timeline.on_clock or timeline, counts_tokens(recipe), timeline.decay
    return SchedulePlan(
        peak_learning_rate=rate.peak,
        start_learning_rate=_start(recipe=recipe, rate=rate),
        final_learning_rate=final,
        warmup_samples=lengths.warmup_samples,
        decay=schedule.decay,
        decay_samples=decay.length,
        decay_shape=schedule.decay_shape,
        total_samples=lengths.total_samples,
        first_step=schedule.first_step,
        clock="tokens" if by_tokens else "samples",
        sequence_length=sequence_tokens(recipe) if by_tokens else None,
        decay_power=schedule.decay_power if schedule.decay == "polynomial" else 1.0,
        decay_begin_samples=decay.begin,
        decay_end_samples=decay.end,
        decay_marks=decay.marks,
        decay_shares=decay.shares,
    )


def learning_rate_plan(
    *, recipe: Recipe, rate: Rate, timeline: Timeline, global_batch_size: int
) -> LearningRatePlan:
    """The block as it is shown: exact lengths floored, steps as ceilings."""
    schedule = schedule_plan(recipe=recipe, rate=rate, timeline=timeline)
    if recipe.schedule.warmup_shape == "log":
        schedule = replace(schedule, warmup_shape="log", warmup_step_samples=global_batch_size)
    return LearningRatePlan(
        scaling_rule=rate.rule,
        scale=rate.scale,
        reference_learning_rate=rate.reference,
        reference_batch=None if rate.ratio is None else math.floor(rate.ratio.reference),
        reference_unit=None if rate.ratio is None else rate.ratio.unit,
        batch_ratio=None if rate.ratio is None else float(rate.ratio.kappa),
        reason=rate.reason,
        peak_learning_rate=rate.peak,
        final_learning_rate=_final(schedule),
        warmup_samples=math.floor(timeline.warmup_samples),
        warmup_steps=timeline.warmup_steps,
        total_steps=timeline.total_steps,
        total_samples=None if timeline.total_samples is None else math.floor(timeline.total_samples),
        owner=owner_of(recipe),
        curve=_curve(schedule=schedule, timeline=timeline, global_batch_size=global_batch_size),
        schedule=schedule,
    )


def curve_steps(
    *, warmup_steps: int, total_steps: int | None, corners: Sequence[Fraction] = ()
) -> tuple[int, ...]:
    """Optimizer steps (1-based) worth seeing: the first, the warmup's quarters, then evenly to the last.

    corners: further places, in steps; the steps on both sides of each are there.
    """
    warm = {1, warmup_steps // 4, warmup_steps // 2, warmup_steps}
    warm |= {math.floor(corner) + side for corner in corners for side in (0, 1)}
    if total_steps is None:
        return tuple(sorted(step for step in warm | {2 * max(1, warmup_steps)} if step >= 1))
    left = max(0, total_steps - warmup_steps)
    after = {
        warmup_steps + left * part // _POINTS_AFTER_WARMUP for part in range(1, _POINTS_AFTER_WARMUP + 1)
    }
    return tuple(sorted(step for step in warm | after | {total_steps} if 1 <= step <= total_steps))


def learning_rate_origins(*, recipe: Recipe, timeline: Timeline, global_batch_size: int) -> dict[str, Origin]:
    """Origins of the block's lengths and its owner."""
    schedule, marks = recipe.schedule, recipe.marks
    length = (
        f"schedule.length {schedule.length}"
        if schedule.length
        else f"one epoch of {timeline.num_samples} samples"
    )
    owner = default("the runtime where the script uses it, else the script")
    return {
        "learning_rate.owner": written_or(marks, "schedule.owner", owner),
        "learning_rate.final_learning_rate": derived(_final_formula(recipe)),
        "learning_rate.warmup_samples": default()
        if schedule.warmup is None
        else derived(_warmup_formula(recipe, timeline, global_batch_size)),
        "learning_rate.warmup_steps": derived(
            f"{_exact(timeline.warmup_samples)} samples in the batches of the stages"
            if recipe.stages
            else f"ceil({_exact(timeline.warmup_samples)} / {global_batch_size})"
        ),
        "learning_rate.total_samples": derived(length),
        "learning_rate.total_steps": derived(_steps_formula(recipe, timeline, global_batch_size)),
    }


def _final_formula(recipe: Recipe) -> str:
    schedule = recipe.schedule
    if schedule.decay == "constant":
        return "the peak: decay constant"
    if schedule.decay == "inverse-sqrt":
        return "peak x sqrt(k / (samples behind the begin + k)) at the end of the run"
    end = (
        "peak"
        if schedule.decay == "step"
        else f"final_learning_rate_ratio {schedule.final_learning_rate_ratio:g} x peak"
    )
    return f"{end} x the factors of decay_at that are passed" if schedule.decay_at else end


def _warmup_formula(recipe: Recipe, timeline: Timeline, global_batch_size: int) -> str:
    """How the written warmup became samples."""
    written, keeps = recipe.schedule.warmup, recipe.schedule.warmup_keeps
    assert written is not None
    if written == "auto":
        return "max(2 / (1 - beta2), 1 %), 1 step to 10 % of the run (arXiv:1910.04209; tuning playbook; 1 % is ours)"
    if keeps != "unit":
        return f"{written} at the reference batch, keeping {keeps} ({who_keeps(keeps)})"
    other = {
        "samples": "",
        "steps": f" x {global_batch_size}",
        "tokens": f" / sequence_length {sequence_tokens(recipe)}",
        "epochs": f" x {timeline.num_samples} samples",
        "%": f" of {_exact(timeline.total_samples or Fraction(0))} samples",
    }
    return f"{written}{other[written.unit]}"


def _steps_formula(recipe: Recipe, timeline: Timeline, global_batch_size: int) -> str:
    if timeline.total_samples is None:
        return "the run has no length"
    if recipe.stages:
        return f"{_exact(timeline.total_samples)} samples in the batches of the stages"
    rounding = "floor" if timeline.ended_by_data and recipe.data.drop_last else "ceil"
    return f"{rounding}({_exact(timeline.total_samples)} / {global_batch_size})"


def _exact(number: Fraction) -> str:
    return str(number.numerator) if number.denominator == 1 else f"{float(number):.10g}"


def _as_written(peak: float, ratio: float) -> float:
    """Their product in decimals: a tenth of 6e-4 is 6e-5, where floats make 5.9999999999999995e-5 of it."""
    return float(Fraction(repr(peak)) * Fraction(repr(ratio)))


def _start(*, recipe: Recipe, rate: Rate) -> float:
    """Learning rate at zero samples: 0, or the reference rate where SGD is scaled up by the linear rule.

    Source: gradual warmup from eta to k eta, Goyal et al. 2017, arXiv:1706.02677 section 2.2.
    """
    if (
        recipe.optimizer.name == "sgd"
        and rate.rule == "linear"
        and rate.reference is not None
        and rate.scale > 1
    ):
        return rate.reference
    return 0.0


def _final(schedule: SchedulePlan) -> float:
    """Learning rate to which the run decays; where it ends where nothing says to what."""
    total = schedule.total_samples
    if schedule.decay == "inverse-sqrt" and total is not None:
        return learning_rate_at(schedule=schedule, samples=total)
    passed = sum(total is None or mark < total for mark in schedule.decay_marks)
    share = schedule.decay_shares[passed - 1] if passed else 1.0
    return _as_written(schedule.final_learning_rate, share)


def _corners(schedule: SchedulePlan) -> tuple[Fraction, ...]:
    """Samples at which the curve bends because somebody wrote a place, beside warmup and end of the run."""
    written = (schedule.decay_begin_samples, schedule.decay_end_samples)
    return (*(corner for corner in written if corner is not None), *schedule.decay_marks)


def _curve(
    *, schedule: SchedulePlan, timeline: Timeline, global_batch_size: int
) -> tuple[tuple[int, float], ...]:
    points = []
    steps = curve_steps(
        warmup_steps=timeline.warmup_steps,
        total_steps=timeline.total_steps,
        corners=tuple(corner / global_batch_size for corner in _corners(schedule)),
    )
    for step in steps:
        is_last = step == timeline.total_steps and timeline.last_step_samples is not None
        held = timeline.last_step_samples if is_last else global_batch_size
        assert held is not None
        after = (step - 1) * global_batch_size + held
        rate = learning_rate_of_step(schedule=schedule, samples_after=after, global_batch_size=held)
        points.append((after, rate))
    return tuple(points)
