"""Sets the plan's learning rate on an optimizer whose parameter groups may have rates of their own."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from batchwright_witness.factors import Cause, second_scalings, unscaled
from launcher.errors import Problem, WorldError
from launcher.spec.plan import RunPlan

__all__ = ["GroupRates", "group_rates_of"]

_SAME = 1e-6
"""Relative; a rate that went through text or fp32 is still itself."""


class GroupRates:
    """Factor of every parameter group to the plan's rate, dimensionless: what the script built them with.

    Groups that are alike follow the plan whatever they were built with, unless that is the planned peak scaled once
    more. Groups that differ (width transfer, a slower encoder) keep their ratio to the group that was built with the
    planned peak.
    """

    def __init__(
        self,
        *,
        peak: float,
        factors: Sequence[float] | None = None,
        again: Sequence[Cause] = (),
        undone: Cause | None = None,
    ) -> None:
        self.peak = peak
        self.factors = None if factors is None else tuple(factors)
        self._again, self._undone = tuple(again), undone

    def apply(self, groups: Sequence[dict[str, Any]], *, learning_rate: float) -> None:
        """Writes `learning_rate` times its factor into every group.

        Raises WorldError[learning-rate-scaled-twice] or [learning-rate-differs] before it touches any.
        """
        if self.factors is None:
            rates = [float(group["lr"]) for group in groups]
            self._refuse_second_scaling(rates)
            self.factors = self._factors(rates)
        for group, factor in zip(groups, self.factors, strict=True):
            if hasattr(group["lr"], "fill_"):  # a tensor: compiled and capturable optimizers
                group["lr"].fill_(learning_rate * factor)
            else:
                group["lr"] = learning_rate * factor

    def going_on(self, factors: Sequence[float] = ()) -> GroupRates:
        """For a run that goes on: its optimizer holds the rate of its last step, which says nothing of the script."""
        return GroupRates(peak=self.peak, factors=factors or self.factors)

    def _factors(self, rates: list[float]) -> tuple[float, ...]:
        if len(set(rates)) == 1:
            return (1.0,) * len(rates)
        if any(math.isclose(rate, self.peak, rel_tol=_SAME) for rate in rates):
            return tuple(
                1.0 if math.isclose(rate, self.peak, rel_tol=_SAME) else rate / self.peak for rate in rates
            )
        raise WorldError([_which_is_the_plans(rates, peak=self.peak, undone=self._undone)])

    def _refuse_second_scaling(self, rates: list[float]) -> None:
        if any(math.isclose(rate, self.peak, rel_tol=_SAME) for rate in rates):
            return
        for rate in rates:
            words = [
                cause.words
                for cause in self._again
                if cause.explains(planned=self.peak, found=rate, tolerance=_SAME)
            ]
            if words:
                raise WorldError([_scaled_twice(rate, peak=self.peak, words=words)])


def group_rates_of(plan: RunPlan) -> GroupRates | None:
    """The rates of a run whose learning rate the runtime applies; None where another does, or none is planned."""
    rates = plan.learning_rate
    if rates is None or rates.owner != "runtime":
        return None
    return GroupRates(peak=rates.peak_learning_rate, again=second_scalings(plan), undone=unscaled(plan))


def _scaled_twice(rate: float, *, peak: float, words: list[str]) -> Problem:
    return Problem(
        code="learning-rate-scaled-twice",
        message=f"planned peak {peak:g}, found a parameter group built with {rate:g}, {rate / peak:.4g}x: "
        f"{', or '.join(words)}",
        because=("the planned peak is scaled already, and is for the whole batch of all processes",),
        hint="build the optimizer with lr=run.plan.learning_rate.peak_learning_rate, and multiply it by nothing",
    )


def _which_is_the_plans(rates: list[float], *, peak: float, undone: Cause | None) -> Problem:
    shown = ", ".join(f"{rate:g}" for rate in rates)
    at_reference = undone is not None and any(
        undone.explains(planned=peak, found=rate, tolerance=_SAME) for rate in rates
    )
    because = (f"{peak * undone.factor:g} is the reference learning rate",) if undone and at_reference else ()
    return Problem(
        code="learning-rate-differs",
        message=f"planned peak {peak:g}, found parameter groups with {shown}: which of them is the plan's?",
        because=because,
        hint="build one group with lr=plan.learning_rate.peak_learning_rate and the others relative to it",
    )
