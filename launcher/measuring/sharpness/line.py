"""Curvature along one direction, from forward passes alone. Imports torch."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch

__all__ = ["CriticalStep", "critical_sharpness", "moving", "rise_within"]

RHO = 0.05
"""Radius of the ball in which a rise is looked for, in parameters.

Source: Foret et al. 2021, arXiv:2010.01412 (sharpness-aware minimisation), their default.
"""
LONGEST = 40
"""Doublings or halvings of the first step before the search gives up."""


class CriticalStep(NamedTuple):
    """What was found along an update direction."""

    sharpness: float | None
    """2 / learning_rate; None where the loss does not cross its own value again, or rises from the very start."""
    learning_rate: float | None
    """The smallest learning rate found at which the next step does not lower the loss."""
    passes: int
    """Forward passes that it took."""
    why: str
    """Why there is none; else empty."""


def critical_sharpness(
    loss: Callable[[], Any],
    parameters: Sequence[Any],
    direction: Any,
    *,
    learning_rate: float,
    tolerance: float = 0.01,
) -> CriticalStep:
    """2 over the critical learning rate along an update, in loss per squared parameter where the update is a gradient.

    The critical learning rate is the smallest at which the step w - eta u no longer lowers the loss. Steps are doubled
    from `learning_rate` (or halved, where that one is too long) until two lie on either side of it; between them
    (L(w - eta u) - L(w)) / eta is led to 0 by secants, which for a quadratic loss is a straight line. There the result
    is u'Hu / g'u: for u = g the curvature along the gradient.

    direction: u, flat; what the optimizer subtracts, before the learning rate. Parameters are moved and put back.
    tolerance: of the learning rate, relative.
    Source: Kalra et al. 2026, arXiv:2601.16979.
    Checked: quadratics, exact to 1e-6; an update that leads uphill, and one that never rises, are said to be that.
    """
    if not direction.any():
        return CriticalStep(None, None, 0, "the update is 0")
    with torch.no_grad(), moving(parameters) as move:
        return _crossing(_Line(loss, move, direction), learning_rate, tolerance)


def rise_within(
    loss: Callable[[], Any], parameters: Sequence[Any], gradient: Any, *, rho: float = RHO
) -> float:
    """L(w + rho g / |g|) - L(w), the rise of the loss after a step of length rho uphill, in units of the loss.

    The largest rise in the ball of radius rho is at least this. It changes when a network is written with other
    parameters that compute the same (Dinh et al. 2017, arXiv:1703.04933).
    Source: Foret et al. 2021, arXiv:2010.01412 equations 2 and 3.
    """
    size = float(gradient.norm())
    if not size:
        return 0.0
    with torch.no_grad(), moving(parameters) as move:
        before = float(loss())
        move(gradient, -rho / size)
        return float(loss()) - before


class _Line:
    """The loss along w - eta u, as its rise over eta; counts what it asks for."""

    def __init__(self, loss: Callable[[], Any], move: Callable[[Any, float], None], direction: Any) -> None:
        self._loss, self._move, self._direction = loss, move, direction
        self._start = float(loss())
        self.passes = 1

    def slope(self, rate: float) -> float:
        """(L(w - rate u) - L(w)) / rate; positive where the step has led up. A loss that is no number has led up."""
        self._move(self._direction, rate)
        self.passes += 1
        rise = (float(self._loss()) - self._start) / rate
        return rise if rise == rise else float("inf")  # noqa: PLR0124 - nan


def _crossing(line: _Line, first: float, tolerance: float) -> CriticalStep:
    low: tuple[float, float] | None = None
    high: tuple[float, float] | None = None
    rate = first
    for _ in range(LONGEST):
        slope = line.slope(rate)
        if slope < 0:
            low = (rate, slope)
        else:
            high = (rate, slope)
        if low and high:
            break
        rate = rate * 2 if low else rate / 2
    if low is None:
        return CriticalStep(None, None, line.passes, "the loss rises along the update from the first step on")
    if high is None:
        return CriticalStep(
            None, None, line.passes, f"the loss falls along the update up to a rate of {low[0]:.3g}"
        )
    while high[0] - low[0] > tolerance * high[0]:
        share = low[1] / (low[1] - high[1])  # nan where the far end is infinite
        share = min(0.95, max(0.05, share)) if share == share and share > 0 else 0.5  # noqa: PLR0124
        rate = low[0] + share * (high[0] - low[0])
        slope = line.slope(rate)
        if abs(slope) <= 1e-12 * abs(low[1]):
            return CriticalStep(2 / rate, rate, line.passes, "")
        if slope < 0:
            low = (rate, slope)
        else:
            high = (rate, slope)
    share = low[1] / (low[1] - high[1])
    rate = low[0] + share * (high[0] - low[0]) if share == share else high[0]  # noqa: PLR0124
    return CriticalStep(2 / rate, rate, line.passes, "")


@contextmanager
def moving(parameters: Sequence[Any]) -> Iterator[Callable[[Any, float], None]]:
    """Sets the parameters to w - rate u, from the same w each time; they end as they were, bit by bit."""
    kept = [each.detach().clone() for each in parameters]

    def move(direction: Any, rate: float) -> None:
        at = 0
        for each, start in zip(parameters, kept, strict=True):
            part = direction[at : at + each.numel()].view_as(each)
            each.copy_(start - rate * part)
            at += each.numel()

    try:
        yield move
    finally:
        with torch.no_grad():
            for each, start in zip(parameters, kept, strict=True):
                each.copy_(start)
