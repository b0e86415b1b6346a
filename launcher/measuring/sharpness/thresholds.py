"""At which curvature a step of a given learning rate is too long on a quadratic loss. Pure.

On a real loss these are where training was seen to hover, and no limit that it keeps to.
"""

from __future__ import annotations

__all__ = ["adam_threshold", "gradient_descent_threshold", "heavy_ball_threshold", "nesterov_threshold"]


def gradient_descent_threshold(*, learning_rate: float) -> float:
    """Largest curvature at which gradient descent does not diverge, in loss per squared parameter: 2 / eta.

    Source: Cohen et al. 2021, arXiv:2103.00065.
    Checked: 200 at 0.01; descent on a quadratic diverges above it and not below (tests/measuring/test_sharpness.py).
    """
    return 2 / learning_rate


def heavy_ball_threshold(*, learning_rate: float, momentum: float) -> float:
    """The same with momentum as torch's SGD has it (buffer = momentum buffer + gradient): (2 + 2 beta) / eta.

    Source: Cohen et al. 2021, arXiv:2103.00065.
    Checked: 38 at 0.1 with 0.9 (3.8 / eta); runs on a quadratic diverge above it and not below.
    """
    return (2 + 2 * momentum) / learning_rate


def nesterov_threshold(*, learning_rate: float, momentum: float) -> float:
    """The same with Nesterov's momentum as torch's SGD has it: (2 + 2 beta) / ((1 + 2 beta) eta).

    Source: Cohen et al. 2021, arXiv:2103.00065. Checked: runs on a quadratic diverge above it and not below.
    """
    return (2 + 2 * momentum) / ((1 + 2 * momentum) * learning_rate)


def adam_threshold(*, learning_rate: float, beta1: float) -> float:
    """Largest eigenvalue of the preconditioned Hessian at which Adam with its moments held is stable, dimensionless.

    (2 + 2 beta1) / ((1 - beta1) eta): 38 / eta at 0.9. To be compared with the largest eigenvalue of
    P ** -1/2 H P ** -1/2, P = (1 - beta1 ** t) (sqrt(v / (1 - beta2 ** t)) + epsilon), never with that of H.
    Source: Cohen et al. 2022, arXiv:2207.14484.
    Checked: 126,667 at 3e-4 with 0.9; 78 / eta at 0.95 by the formula; runs on a quadratic diverge above it.
    """
    return (2 + 2 * beta1) / ((1 - beta1) * learning_rate)
