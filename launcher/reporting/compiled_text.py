"""A schedule that another stack owns, beside the one that was asked for."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from launcher.planning.schedulers.drawing import compiled_rate
from launcher.spec.rates import CompiledSchedule, LearningRatePlan
from launcher.units import show_count, show_rate

__all__ = ["compiled_lines", "owner_in_words", "peak_step", "without_owner"]

_STACKS = {
    "deepspeed": "DeepSpeed's",
    "transformers": "transformers'",
    "accelerate": "transformers'",
    "trainer": "the Trainer's",
}
_ROUNDING = 1e-9


def compiled_lines(rate: LearningRatePlan) -> list[str]:
    """What the stack is given, and how its curve lies to the one asked for; nothing where no stack owns it."""
    compiled = rate.compiled
    if compiled is None:
        return []
    return [f"drawn by {_given(compiled)}", _beside(rate, compiled)]


def owner_in_words(rate: LearningRatePlan, *, carried: bool) -> str:
    """Who applies it, and whether what it needs is handed over."""
    compiled = rate.compiled
    assert compiled is not None
    named = f"{_STACKS[compiled.stack]} {compiled.scheduler}"
    if compiled.stack == "deepspeed":
        return f"applied by {named}"
    handed = "its numbers are passed on" if carried else "the script must be told how"
    return f"built by the script as {named}, {handed}"


def peak_step(rate: LearningRatePlan) -> int:
    """Optimizer step that is the first at the peak; that of the plan's own curve where no stack owns it."""
    compiled, peak = rate.compiled, rate.peak_learning_rate
    if compiled is None:
        begin, warmup = rate.schedule.decay_begin_samples, rate.schedule.warmup_samples
        under = begin is not None and begin < warmup  # then it is past the peak where the warmup ends
        return max(1, rate.warmup_steps - under)
    around = range(max(1, rate.warmup_steps - 1), rate.warmup_steps + 4)
    at_peak = (
        step for step in around if compiled_rate(compiled, peak=peak, step=step) >= peak * (1 - _ROUNDING)
    )
    return next(at_peak, rate.warmup_steps + compiled.lag_steps)


def without_owner(rate: LearningRatePlan) -> LearningRatePlan:
    """The block with the curve that was asked for."""
    return rate if rate.compiled is None else replace(rate, compiled=None, curve=rate.compiled.asked_curve)


def _given(compiled: CompiledSchedule) -> str:
    words = ", ".join(f"{key} {_value(value)}" for key, value in compiled.arguments.items() if value != {})
    often = ""
    if compiled.calls_per_step > 1:
        often = f"; Accelerate advances it {compiled.calls_per_step} times a step, once per process"
    if compiled.handed:
        handed = ", ".join(f"{key} {_value(value)}" for key, value in compiled.handed.items())
        often = f"; the script's DummyScheduler is given {handed}"
    return f"{_STACKS[compiled.stack]} {compiled.scheduler}: {words}{often}"


def _value(value: Any) -> str:
    return show_rate(value) if isinstance(value, float) else str(value)


def _beside(rate: LearningRatePlan, compiled: CompiledSchedule) -> str:
    """The first-step convention and the largest difference, in words."""
    lag = compiled.lag_steps
    if lag == 0:
        late = "no step behind the schedule asked for"
    else:
        steps = f"{show_count(abs(lag))} step{'s' if abs(lag) != 1 else ''}"
        late = f"{steps} {'behind' if lag > 0 else 'ahead of'} the schedule asked for"
    first = [compiled_rate(compiled, peak=rate.peak_learning_rate, step=step) for step in (1, 2)]
    at_start = {(True, True): ", steps 1 and 2 at 0", (True, False): ", step 1 at 0"}
    zero = at_start.get((first[0] == 0, first[1] == 0), "")
    difference = compiled.largest_difference
    same = "the same curve" if difference < _ROUNDING else f"within {100 * difference:.2g} % of the peak"
    return f"{late}{zero}; otherwise {same}"
