"""What the squared norms of a part's gradient and of the whole batch's say of signal and noise.

Notation. A step trains B sequences; sequence i gives the summed gradient s_i and has the weight w_i (its loss tokens,
or 1), and its noise is e_i = s_i - w_i * G around the true gradient G. W is the sum of all w_i, P = |sum s_i / W|^2.
A group j is b_j of these sequences, with the weight W_j; its gradient is taken as h_j = (B / b_j) * sum s_i / W, the
sum over its sequences scaled up by their number. S is the mean of |h_j|^2 over the groups, weighted by b_j.

With V the sum of |e_i|^2, E|e|^2 for short, and sequences independent of each other and dealt to slots at random:

    E[P] = |G|^2 + V / W^2                         = |G|^2 + trace / B       trace = B * V / W^2
    E[S] = Q |G|^2 + sum_j b_j (B / b_j)^2 (b_j V / B) / W^2 / sum_j b_j
                                                   = Q |G|^2 + trace / b     b = sum_j b_j / number of groups

with Q the mean of (W_j / b_j)^2 / (W / B)^2 over the groups, weighted by b_j: 1 where all sequences weigh the same.
Two equations, two unknowns. Nothing else was used: groups may be of any size, cover the batch or only a part of it.
Source: with Q = 1, McCandlish et al. 2018, arXiv:1812.06162 appendix A; EleutherAI/gpt-neox@ea7aefd8
megatron/gradient_noise_scale/gradient_noise_scale.py; CerebrasResearch/nanoGNS@b3b0c9c. Q and b are our own algebra.
Checked: tests/planning/noise/test_estimators.py draws sequences with a known noise.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

__all__ = ["Squares", "squares_of_groups"]


class Squares(NamedTuple):
    """Squared gradient norms of one optimizer step, at two sizes; no clipping and no loss scale in them."""

    small: float
    """S: of the groups, each gradient scaled to be an estimate of the whole batch's."""
    big: float
    """P: of the whole batch."""
    small_size: float
    """b: sequences of a group, their plain mean where groups differ."""
    big_size: float
    """B: sequences of the batch."""
    weight_square: float = 1.0
    """Q: mean square of a group's weight per sequence over the batch's; 1 where all sequences weigh the same."""

    @property
    def information(self) -> float:
        """1 - Q b / B: the factor by which both numbers below are too small, known beforehand."""
        return 1 - self.weight_square * self.small_size / self.big_size

    @property
    def signal(self) -> float:
        """|G|^2 times `information`, without bias; may come out negative."""
        return self.big - self.small_size / self.big_size * self.small

    @property
    def noise(self) -> float:
        """The trace of the covariance of one sequence's gradient, times `information`, without bias."""
        return self.small_size * (self.small - self.weight_square * self.big)

    @property
    def gradient_square(self) -> float:
        """|G|^2, without bias: (B P - b S) / (B - b) where all sequences weigh the same."""
        return self.signal / self.information

    @property
    def trace(self) -> float:
        """Trace of the covariance of one sequence's gradient: (S - P) / (1/b - 1/B) with equal weights."""
        return self.noise / self.information


def squares_of_groups(
    *,
    squares: Sequence[float],
    sizes: Sequence[int],
    big: float,
    big_size: int,
    weights: Sequence[float] | None = None,
    total_weight: float | None = None,
) -> Squares:
    """The two squares of a step from those of any groups of its sequences.

    squares: |h_j|^2 of each group, of its summed gradients times B / (b_j W). With equal weights that is the square of
        the group's mean gradient. sizes: sequences b_j of each. big: P. weights: W_j of each, total_weight W; equal
        weights when None.
    """
    covered = sum(sizes)
    mean = sum(size * square for size, square in zip(sizes, squares, strict=True)) / covered
    evenness = 1.0
    if weights is not None and total_weight is not None:
        scaled = [big_size / total_weight * weight for weight in weights]
        evenness = sum(weight**2 / size for weight, size in zip(scaled, sizes, strict=True)) / covered
    return Squares(
        small=mean,
        big=big,
        small_size=covered / len(sizes),
        big_size=float(big_size),
        weight_square=evenness,
    )
