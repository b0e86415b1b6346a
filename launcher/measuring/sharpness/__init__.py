"""How curved a loss is where a training stands: numbers, each with the limit it is held against. Imports torch.

Not here: what a curvature is good for. Neither a large nor a small one is a promise about anything.
"""

from launcher.measuring.sharpness.agreeing import disagreement
from launcher.measuring.sharpness.curvature import Curvature, top_eigenvalue
from launcher.measuring.sharpness.line import CriticalStep, critical_sharpness, rise_within
from launcher.measuring.sharpness.settled import settled
from launcher.measuring.sharpness.thresholds import (
    adam_threshold,
    gradient_descent_threshold,
    heavy_ball_threshold,
    nesterov_threshold,
)

__all__ = [
    "CriticalStep",
    "Curvature",
    "adam_threshold",
    "critical_sharpness",
    "disagreement",
    "gradient_descent_threshold",
    "heavy_ball_threshold",
    "nesterov_threshold",
    "rise_within",
    "settled",
    "top_eigenvalue",
]
