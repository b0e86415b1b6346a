"""The points of a staged run's learning rate worth seeing: those of any run, and both sides of every boundary."""

from __future__ import annotations

from launcher.planning.rates import curve_steps
from launcher.planning.stages.ledger import planned_rate, stages_of, step_at
from launcher.spec.plan import RunPlan

__all__ = ["staged_curve"]


def staged_curve(plan: RunPlan) -> tuple[tuple[int, float], ...]:
    """[samples after the step, learning rate of that step], through the ledger that the runtime trains by."""
    rates = plan.learning_rate
    assert rates is not None
    numbers = set(curve_steps(warmup_steps=rates.warmup_steps, total_steps=rates.total_steps))
    for stage in stages_of(plan):
        numbers.add(stage.first_step)
        if stage.steps is not None:
            numbers.add(stage.first_step + stage.steps - 1)
    steps = [step for number in sorted(numbers) if (step := step_at(plan, number)) is not None]
    points = [(step.samples_after, planned_rate(plan, step)) for step in steps]
    return tuple((samples, rate) for samples, rate in points if rate is not None)
