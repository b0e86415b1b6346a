"""Sets the plan's learning rate on an optimizer whose parameter groups may have rates of their own."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from launcher.errors import Problem, WorldError

__all__ = ["GroupRates"]


class GroupRates:
    """Factor of every parameter group to the plan's rate, dimensionless: what the script built them with.

    Groups that are alike follow the plan whatever they were built with. Groups that differ (width transfer, a slower
    encoder) keep their ratio to the group that was built with the planned peak.
    """

    def __init__(self, *, peak: float, factors: Sequence[float] | None = None) -> None:
        self.peak = peak
        self.factors = None if factors is None else tuple(factors)

    def apply(self, groups: Sequence[dict[str, Any]], *, learning_rate: float) -> None:
        """Writes `learning_rate` times its factor into every group. Raises WorldError[learning-rate-differs]."""
        if self.factors is None:
            self.factors = _factors([float(group["lr"]) for group in groups], peak=self.peak)
        for group, factor in zip(groups, self.factors, strict=True):
            if hasattr(group["lr"], "fill_"):  # a tensor: compiled and capturable optimizers
                group["lr"].fill_(learning_rate * factor)
            else:
                group["lr"] = learning_rate * factor


def _factors(rates: list[float], *, peak: float) -> tuple[float, ...]:
    if len(set(rates)) == 1:
        return (1.0,) * len(rates)
    if any(math.isclose(rate, peak, rel_tol=1e-6) for rate in rates):
        return tuple(1.0 if math.isclose(rate, peak, rel_tol=1e-6) else rate / peak for rate in rates)
    shown = ", ".join(f"{rate:g}" for rate in rates)
    raise WorldError(
        [
            Problem(
                code="learning-rate-differs",
                message=f"planned peak {peak:g}, found parameter groups with {shown}: which of them is the plan's?",
                hint="build one group with lr=plan.learning_rate.peak_learning_rate and the others relative to it",
            )
        ]
    )
