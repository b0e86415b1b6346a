"""Whether and how the gradient noise scale is measured, as a recipe says it."""

from dataclasses import dataclass
from typing import Literal

from launcher.spec.kinds import Below1, LengthAmount

__all__ = ["GradientNoise", "NoiseMode"]

NoiseMode = Literal["auto", "off", "ranks", "micro-batches"]


@dataclass(frozen=True, slots=True, kw_only=True)
class GradientNoise:
    """The measurement of the gradient noise scale."""

    mode: NoiseMode = "auto"
    """ranks: each rank's gradient against the mean of all; micro-batches: the first one's against the accumulated."""
    every: LengthAmount | None = None
    """From one measurement to the next; every step when absent."""
    decay: Below1 = 0.99
    """Decay of the exponential means, per measurement."""
