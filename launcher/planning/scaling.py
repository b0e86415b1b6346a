"""How the learning rate follows the batch: the rules, and the scale that a recipe's rule gives at any batch."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Literal, NamedTuple

from launcher.planning.reference import Ratio, batch_ratio, reference_of
from launcher.planning.yardstick import run_tokens
from launcher.spec.recipe import Recipe
from launcher.spec.training import Scaling

__all__ = [
    "ALPHA",
    "Rule",
    "Scale",
    "capped_scale",
    "critical_batch_tokens",
    "linear_scale",
    "rule_of",
    "saturating_scale",
    "scale_at",
    "scale_by",
    "sqrt_scale",
]

Number = int | float | Fraction
Rule = Literal["none", "linear", "sqrt", "capped", "saturating"]

ALPHA = 0.75
"""Exponent of capped and saturating where none is written. By our calculation (benchmarks/scaling_rules.py) from the
1,911 dense runs that the Step Law publishes (arXiv:2503.04715): batch ** 0.75 up to the best batch, level beyond it."""


def linear_scale(*, batch: Number, reference_batch: Number) -> float:
    """Factor on the learning rate, batch / reference batch, dimensionless; both in the same unit.

    Source: Goyal et al. 2017, arXiv:1706.02677, linear scaling rule.
    Checked: 0.1 at 256 becomes 3.2 at 8192 (their section 5); MLPerf Llama-3.1-405B, 8e-5 at 1152 becomes 3.2e-4 at
    4608 (mlcommons/logging@7bbf792 rcp_checker).
    """
    return float(Fraction(batch) / Fraction(reference_batch))


def sqrt_scale(*, batch: Number, reference_batch: Number) -> float:
    """Factor on the learning rate, sqrt(batch / reference batch), dimensionless.

    Source: Krizhevsky 2014, arXiv:1404.5997; for Adam, Malladi et al. 2022, arXiv:2205.10287.
    """
    return math.sqrt(linear_scale(batch=batch, reference_batch=reference_batch))


def capped_scale(*, batch: Number, reference_batch: Number, alpha: float, critical_batch: Number) -> float:
    """Factor on the learning rate that stops growing at the critical batch, dimensionless.

    (min(B, C) / min(B0, C)) ** alpha. An engineering simplification of the saturating rule; no publication.
    """
    capped = min(Fraction(batch), Fraction(critical_batch))
    reference = min(Fraction(reference_batch), Fraction(critical_batch))
    return math.pow(capped / reference, alpha)


def saturating_scale(
    *, batch: Number, reference_batch: Number, alpha: float, critical_batch: Number
) -> float:
    """Factor on the learning rate that levels off beyond the critical batch, dimensionless.

    ((B / B0) (B0 + C) / (B + C)) ** alpha; with alpha 1 the gain of AdaScale.
    Source: McCandlish et al. 2018, arXiv:1812.06162 equation 2.10; AdaScale, Johnson et al. 2020, arXiv:2007.05105
    (fairscale@146f1602 fairscale/optim/adascale.py:AdaScale.gain, C / B0 = var / sqr).
    """
    b, b0, c = Fraction(batch), Fraction(reference_batch), Fraction(critical_batch)
    return math.pow(b * (b0 + c) / (b0 * (b + c)), alpha)


class Scale(NamedTuple):
    """The factor on the reference learning rate at one batch, and how it came about."""

    rule: Rule
    factor: float
    ratio: Ratio | None
    """None where nothing is scaled: the rate is applied as written, or no reference batch is known."""


def rule_of(recipe: Recipe) -> Rule:
    """Name of the scaling rule; auto is linear for SGD and sqrt for all that normalise by a second moment or a sign."""
    scaling = recipe.optimizer.scaling
    if isinstance(scaling, Scaling):
        return scaling.rule
    if scaling == "auto":
        return "linear" if recipe.optimizer.name == "sgd" else "sqrt"
    return scaling


def scale_at(recipe: Recipe, *, global_batch_size: int | Fraction, sequence_length: int | None) -> Scale:
    """The factor on optimizer.reference_learning_rate at any batch and sequence length, by the recipe's own rule.

    For the run's own numbers it is the plan's `learning_rate.scale`; for those of a stage, the stage's factor on the
    curve is this one's over the run's. Batches are compared in tokens where sequence lengths differ, so a stage with
    half the sequences of twice the length keeps the rate. A written learning_rate is never scaled: factor 1, no ratio;
    the same where no reference batch is known.
    """
    reference = reference_of(recipe)
    if recipe.optimizer.reference_learning_rate is None or reference is None:
        return Scale("none", 1.0, None)
    ratio = batch_ratio(reference, global_batch_size=global_batch_size, sequence_length=sequence_length)
    critical = critical_batch_tokens(recipe)
    if critical is not None and ratio.unit == "samples" and sequence_length is not None:
        critical /= sequence_length
    scaling = recipe.optimizer.scaling
    alpha = scaling.alpha if isinstance(scaling, Scaling) else None
    rule = rule_of(recipe)
    factor = scale_by(rule, ratio=ratio, alpha=ALPHA if alpha is None else alpha, critical_batch=critical)
    return Scale(rule, factor, ratio)


def scale_by(
    rule: Rule, *, ratio: Ratio, alpha: float = ALPHA, critical_batch: Fraction | None = None
) -> float:
    """The factor of one rule, dimensionless. critical_batch: in the ratio's unit; without it capped rules grow on."""
    batch, reference = ratio.batch, ratio.reference
    if rule == "none":
        return 1.0
    if rule == "linear":
        return linear_scale(batch=batch, reference_batch=reference)
    if rule == "sqrt":
        return sqrt_scale(batch=batch, reference_batch=reference)
    if critical_batch is None:
        return math.pow(ratio.kappa, alpha)
    shape = capped_scale if rule == "capped" else saturating_scale
    return shape(batch=batch, reference_batch=reference, alpha=alpha, critical_batch=critical_batch)


def critical_batch_tokens(recipe: Recipe) -> Fraction | None:
    """Tokens beyond which the learning rate stops growing; `auto` asks the Step Law for the run's tokens."""
    scaling = recipe.optimizer.scaling
    written = scaling.critical_batch_tokens if isinstance(scaling, Scaling) else None
    if written != "auto":
        return None if written is None else written.number
    from launcher.planning.laws.step_law import batch_tokens

    total = run_tokens(recipe)
    return None if total is None else Fraction(batch_tokens(tokens=float(total)))
