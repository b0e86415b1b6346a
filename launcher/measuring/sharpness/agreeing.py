"""Whether a curvature is that of the loss: gradients on either side of the parameters tell without a second derivative.

A function of a person's own, or of a library of fused kernels, may have a backward that torch takes for a constant: its
part of the Hessian is then 0, and nothing is raised. Imports torch.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch

from launcher.measuring.sharpness.curvature import Curvature, flat
from launcher.measuring.sharpness.line import moving

__all__ = ["disagreement"]

LENGTHS = (1e-2, 1e-3)
"""Of the step to either side: long enough for fp32, short enough for a third derivative; one that agrees will do."""
SHARE = 0.1
"""Of the value, by which both may differ."""
ROUNDING = 1e-6
"""Of the gradient's norm, over the length of the step."""


def disagreement(
    loss: Callable[[], Any], parameters: Sequence[Any], found: Curvature, *, scale: Any = None
) -> str:
    """Why the value cannot be the curvature along its own vector; empty where gradients agree with it."""
    direction = found.vector if scale is None else scale * found.vector
    size = float(direction.norm())
    if not size:
        return ""
    values, slack = [], SHARE * abs(found.value)
    for length in LENGTHS:
        sides = [_gradient(loss, parameters, direction, sign * length / size) for sign in (-1, 1)]
        value = float((sides[1].double() - sides[0].double()) @ direction.double()) * size / (2 * length)
        rounding = ROUNDING * float(sides[0].norm()) * size * size / length
        if abs(value - found.value) <= slack + rounding:
            return ""
        values.append(value)
    return (
        f"the backward of some operation is not derived: products of the Hessian give {found.value:.4g}, "
        f"differences of gradients {values[-1]:.4g}"
    )


def _gradient(loss: Callable[[], Any], parameters: Sequence[Any], direction: Any, length: float) -> Any:
    """Flat, with the parameters moved by `length` of `direction`; they are put back."""
    with moving(parameters) as move:
        with torch.no_grad():
            move(direction, -length)
        first = torch.autograd.grad(loss(), list(parameters), allow_unused=True, materialize_grads=True)
        return flat([each.detach() for each in first])
