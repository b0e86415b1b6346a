"""Signal and noise of many steps: two exponential means, their ratio, and how well that is known."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from math import sqrt
from typing import NamedTuple

from launcher.planning.noise.estimators import Squares

__all__ = ["FEWEST", "WIDEST", "Interval", "Moments"]

FEWEST = 200
"""Measurements below which nothing is said."""
WIDEST = 2.0
"""Upper over lower end of the interval at and beyond which nothing is said."""
_NORMAL = 1.959963984540054  # 97.5 % of the standard normal distribution


class Interval(NamedTuple):
    """Two ends of a 95 % interval, in sequences."""

    low: float
    high: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Moments:
    """Exponential means over measurements, of signal, noise, their squares and their product.

    All start at zero and are too small by 1 - decay^count, with count the number of measurements, not of steps. The
    noise scale is a ratio of two means: a mean of ratios does not exist where the signal of one step may be zero or
    negative.
    Source: McCandlish et al. 2018, arXiv:1812.06162 appendix A; decay 0.99 as in EleutherAI/gpt-neox@ea7aefd8.
    """

    decay: float
    count: int = 0
    signal: float = 0.0
    noise: float = 0.0
    information: float = 0.0
    signal_square: float = 0.0
    noise_square: float = 0.0
    product: float = 0.0

    def after(self, squares: Squares) -> Moments:
        """These means with one measurement more."""
        signal, noise = squares.signal, squares.noise
        measured = {
            "signal": signal,
            "noise": noise,
            "information": squares.information,
            "signal_square": signal * signal,
            "noise_square": noise * noise,
            "product": signal * noise,
        }
        kept = self.decay
        means = {name: kept * getattr(self, name) + (1 - kept) * value for name, value in measured.items()}
        return Moments(decay=kept, count=self.count + 1, **means)

    @property
    def gradient_square(self) -> float | None:
        """|G|^2 over the window; None before the first measurement."""
        return self.signal / self.information if self.count else None

    @property
    def trace(self) -> float | None:
        """Trace of the covariance of one sequence's gradient over the window."""
        return self.noise / self.information if self.count else None

    @property
    def ratio(self) -> float | None:
        """The noise scale in sequences; None where the mean signal is not positive."""
        return self.noise / self.signal if self.signal > 0 else None

    @property
    def effective_count(self) -> float:
        """Equal weights that would give as sharp a mean: (1 + d) / (1 - d) * (1 - d^n) / (1 + d^n)."""
        faded = self.decay**self.count
        return (1 + self.decay) / (1 - self.decay) * (1 - faded) / (1 + faded)

    def interval(self) -> Interval | None:
        """95 % interval of the noise scale in sequences, by Fieller's theorem; None where the signal may be zero.

        The ends r solve (noise - r signal)^2 = t^2 var(noise - r signal). Variances are those of the measurements
        around their exponential means, over the effective count. No term for autocorrelation: at given parameters a
        step's sequences are fresh, so that errors of different steps are uncorrelated; what drifts with the
        parameters is not error, and widens the interval, which is then that of the window's mean.
        Source: Fieller 1954, Some problems in interval estimation, J. R. Stat. Soc. B 16(2).
        Checked: tests/planning/noise/test_noise_moments.py counts how often it holds the truth.
        """
        fresh = self.effective_count
        if self.count < 2 or fresh <= 1:
            return None
        whole = 1 - self.decay**self.count
        signal, noise = self.signal / whole, self.noise / whole
        of_signal = (self.signal_square / whole - signal**2) / (fresh - 1)
        of_noise = (self.noise_square / whole - noise**2) / (fresh - 1)
        together = (self.product / whole - signal * noise) / (fresh - 1)
        square = _student(fresh - 1) ** 2
        first = signal**2 - square * of_signal
        middle = signal * noise - square * together
        if signal <= 0 or first <= 0:
            return None
        root = sqrt(max(0.0, middle**2 - first * (noise**2 - square * of_noise)))
        return Interval((middle - root) / first, (middle + root) / first)

    def unresolved(self) -> str | None:
        """Why the noise scale is not told yet, in words; None where it is."""
        interval = self.interval()
        if self.count < FEWEST:
            return f"{self.count} of {FEWEST} measurements"
        if interval is None:
            return "the signal is not told from zero"
        if interval.low <= 0:
            return "the noise is not told from zero"
        if interval.high >= WIDEST * interval.low:
            return f"its 95 % interval, {interval.low:.3g} to {interval.high:.3g}, is wider than {WIDEST:g} times"
        return None

    def state(self) -> dict[str, float]:
        """Plain values for a checkpoint."""
        return asdict(self)

    @classmethod
    def of_state(cls, state: Mapping[str, float]) -> Moments:
        """The means that `state` wrote."""
        return cls(**{field.name: state[field.name] for field in fields(cls)})  # type: ignore[arg-type]


def _student(freedom: float) -> float:
    """97.5 % of Student's t, to 1 % from 8 degrees of freedom on.

    Source: Abramowitz & Stegun 26.7.5, the first two terms.
    """
    cube, fifth = _NORMAL**3, _NORMAL**5
    return (
        _NORMAL + (cube + _NORMAL) / (4 * freedom) + (5 * fifth + 16 * cube + 3 * _NORMAL) / (96 * freedom**2)
    )
