"""A learning rate that is not on the curve of the stack which owns it: what would explain it, in words. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from launcher.spec.plan import RunPlan
    from launcher.spec.rates import CompiledSchedule, LearningRatePlan

__all__ = ["EXACT", "Draw", "given_in_words", "mistake_in_words", "same"]

EXACT = 1e-7
"""Relative. The plan draws the stack's own formula in doubles, so they agree to 1e-12; a rate kept in fp32 to 6e-8."""

Draw = Callable[..., float]
"""launcher.planning.schedulers.drawing.compiled_rate."""


class _Mistake(NamedTuple):
    """Another way in which the same schedule may have been advanced."""

    words: str
    rate: float


def same(found: float, planned: float, *, peak: float, tolerance: float = EXACT) -> bool:
    """Whether two rates are one."""
    return abs(found - planned) <= max(tolerance * abs(planned), 1e-9 * peak)


def given_in_words(rates: LearningRatePlan) -> str:
    """`linear with num_warmup_steps: 200, num_training_steps: 2000`."""
    compiled = rates.compiled
    assert compiled is not None
    given = ", ".join(f"{key}: {value}" for key, value in compiled.arguments.items() if value != {})
    often = f", advanced {compiled.calls_per_step} times a step" if compiled.calls_per_step > 1 else ""
    return f"{compiled.scheduler} with {given}{often}"


def mistake_in_words(plan: RunPlan, *, step: int, found: float, draw: Draw) -> str:
    """What the script or its stack did instead, where one of the known mistakes gives just this rate; else empty."""
    rates = plan.learning_rate
    if rates is None or rates.compiled is None:
        return ""
    peak = rates.peak_learning_rate
    return ", or ".join(
        mistake.words
        for mistake in _mistakes(plan, rates.compiled, peak=peak, step=step, draw=draw)
        if same(found, mistake.rate, peak=peak, tolerance=1e-4)
    )


def _mistakes(
    plan: RunPlan, compiled: CompiledSchedule, *, peak: float, step: int, draw: Draw
) -> Iterator[_Mistake]:
    once = replace(compiled, calls_per_step=1)
    ranks, micro = plan.layout.world_size, plan.batch.gradient_accumulation_steps
    if compiled.calls_per_step > 1:
        yield _Mistake("it is advanced once a step", draw(once, peak=peak, step=step))
    elif ranks > 1 and compiled.stack != "deepspeed":
        yield _Mistake(
            f"it is advanced {ranks} times a step, once per process: Accelerate has prepared it",
            draw(once, peak=peak, step=1 + (step - 1) * ranks),
        )
    if micro > 1:
        yield _Mistake(
            f"it is advanced {micro} times as often, after every micro-batch",
            draw(compiled, peak=peak, step=1 + (step - 1) * micro),
        )
    shape = {"log": "linear", "linear": "log"}.get(str(compiled.arguments.get("warmup_type")))
    if compiled.stack == "deepspeed" and shape is not None:
        other = replace(compiled, arguments={**compiled.arguments, "warmup_type": shape})
        yield _Mistake(f"its warmup is {shape}", draw(other, peak=peak, step=step))
    yield _Mistake("it is one step ahead", draw(compiled, peak=peak, step=step + 1))
    if step > 1:
        yield _Mistake("it is one step behind", draw(compiled, peak=peak, step=step - 1))
