"""How the learning rate follows the batch: the rules, and how far each was ever shown to hold."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Literal

from launcher.errors import Problem
from launcher.planning.model import sequence_tokens
from launcher.planning.origins import default, derived, written_or
from launcher.planning.solved import Solved
from launcher.planning.words import as_written
from launcher.spec.marks import Origin
from launcher.spec.recipe import Recipe
from launcher.spec.training import Scaling

__all__ = [
    "Rate",
    "capped_scale",
    "linear_scale",
    "reference_batch",
    "rule_of",
    "saturating_scale",
    "solve_rate",
    "sqrt_scale",
]

Number = int | float | Fraction
Rule = Literal["none", "linear", "sqrt", "capped", "saturating"]


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


class Rate:
    """A peak learning rate and how it came about."""

    __slots__ = ("peak", "reference", "rule", "scale")

    def __init__(self, *, peak: float, reference: float | None, rule: str, scale: float) -> None:
        self.peak, self.reference, self.rule, self.scale = peak, reference, rule, scale


def rule_of(recipe: Recipe) -> Rule:
    """Name of the scaling rule; auto is linear for SGD and sqrt for all that normalise by a second moment or a sign."""
    scaling = recipe.optimizer.scaling
    if isinstance(scaling, Scaling):
        return scaling.rule
    if scaling == "auto":
        return "linear" if recipe.optimizer.name == "sgd" else "sqrt"
    return scaling


def reference_batch(recipe: Recipe) -> Fraction | None:
    """Sequences per step at which the reference learning rate was tuned; None when not written or not known."""
    optimizer, length = recipe.optimizer, sequence_tokens(recipe)
    if optimizer.reference_batch_tokens is not None:
        return None if length is None else optimizer.reference_batch_tokens.number / length
    return None if optimizer.reference_batch_size is None else Fraction(optimizer.reference_batch_size)


def solve_rate(*, recipe: Recipe, global_batch_size: int) -> Solved[Rate]:
    """The peak learning rate; value None and no error where none is written."""
    optimizer = recipe.optimizer
    if optimizer.learning_rate is not None:
        both = optimizer.reference_learning_rate is not None
        rate = Rate(peak=optimizer.learning_rate, reference=None, rule="none", scale=1.0)
        return Solved(
            value=None if both else rate,
            problems=(_both_rates(recipe),) if both else (),
            origins={
                "learning_rate.peak_learning_rate": written_or(
                    recipe.marks, "optimizer.learning_rate", default()
                )
            },
        )
    if optimizer.reference_learning_rate is None:
        return Solved(value=None)
    missing = _missing(recipe)
    if missing:
        return Solved(value=None, problems=missing)
    return _scaled(recipe=recipe, batch=global_batch_size, reference_rate=optimizer.reference_learning_rate)


def _scaled(*, recipe: Recipe, batch: int, reference_rate: float) -> Solved[Rate]:
    reference = reference_batch(recipe)
    assert reference is not None
    rule = rule_of(recipe)
    scale = _scale(recipe, batch=Fraction(batch), reference=reference)
    rate = Rate(peak=reference_rate * scale, reference=reference_rate, rule=rule, scale=scale)
    problems = _far(recipe=recipe, batch=batch, reference=reference)
    return Solved(value=rate, problems=problems, origins=_origins(recipe, batch, rate))


def _scale(recipe: Recipe, *, batch: Fraction, reference: Fraction) -> float:
    rule, scaling = rule_of(recipe), recipe.optimizer.scaling
    if rule == "none":
        return 1.0
    if rule == "linear":
        return linear_scale(batch=batch, reference_batch=reference)
    if rule == "sqrt":
        return sqrt_scale(batch=batch, reference_batch=reference)
    assert isinstance(scaling, Scaling)
    length = sequence_tokens(recipe)
    assert scaling.alpha is not None
    assert scaling.critical_batch_tokens is not None
    assert length is not None
    shape = capped_scale if rule == "capped" else saturating_scale
    critical = scaling.critical_batch_tokens.number / length
    return shape(batch=batch, reference_batch=reference, alpha=scaling.alpha, critical_batch=critical)


def _both_rates(recipe: Recipe) -> Problem:
    return Problem(
        code="ambiguous-learning-rate",
        path="optimizer.reference_learning_rate",
        message=f"{_key(recipe, 'learning_rate')} and {_key(recipe, 'reference_learning_rate')} are both written; "
        "expected one of them",
        because=("learning_rate is applied as written, reference_learning_rate is scaled to the batch",),
        hint="keep the one that was meant",
    )


def _missing(recipe: Recipe) -> tuple[Problem, ...]:
    optimizer, found = recipe.optimizer, []
    if optimizer.reference_batch_size is None and optimizer.reference_batch_tokens is None:
        found.append(
            Problem(
                code="missing-reference-batch",
                path="optimizer.reference_learning_rate",
                message=f"{_key(recipe, 'reference_learning_rate')} has no batch; expected the batch it was tuned at",
                hint="write optimizer.reference_batch_size, or optimizer.learning_rate to apply it as written",
            )
        )
    scaling = optimizer.scaling
    if isinstance(scaling, Scaling) and scaling.rule in {"capped", "saturating"}:
        absent = [name for name in ("alpha", "critical_batch_tokens") if getattr(scaling, name) is None]
        if absent:
            found.append(_missing_parameter(scaling.rule, absent))
    if sequence_tokens(recipe) is None and (
        optimizer.reference_batch_tokens is not None
        or (isinstance(scaling, Scaling) and scaling.critical_batch_tokens is not None)
    ):
        found.append(_tokens_need_length(recipe))
    return tuple(found)


def _missing_parameter(rule: str, absent: list[str]) -> Problem:
    example = {"alpha": "alpha: 0.75", "critical_batch_tokens": "critical_batch_tokens: 4Mi"}
    return Problem(
        code="missing-scaling-parameter",
        path="optimizer.scaling.rule",
        message=f"`optimizer.scaling.rule: {rule}` needs {' and '.join(absent)}, which "
        f"{'are' if len(absent) > 1 else 'is'} absent",
        hint=f"write {{rule: {rule}, {', '.join(example[name] for name in example)}}}",
    )


def _tokens_need_length(recipe: Recipe) -> Problem:
    tokens = recipe.optimizer.reference_batch_tokens
    key, value = ("reference_batch_tokens", tokens)
    scaling = recipe.optimizer.scaling
    if tokens is None and isinstance(scaling, Scaling):
        key, value = "scaling.critical_batch_tokens", scaling.critical_batch_tokens
    return Problem(
        code="tokens-need-sequence-length",
        path=f"optimizer.{key}",
        message=f"`optimizer.{key}: {value}` cannot become sequences: `sequence_length` is absent",
        hint="write sequence_length, or optimizer.reference_batch_size instead",
    )


def _origins(recipe: Recipe, batch: int, rate: Rate) -> dict[str, Origin]:
    optimizer = recipe.optimizer
    if optimizer.reference_batch_tokens is not None:
        tokens = batch * (sequence_tokens(recipe) or 1)
        ratio = f"{tokens} / {optimizer.reference_batch_tokens} tokens"
    else:
        ratio = f"{batch} / {optimizer.reference_batch_size}"
    reference = as_written(recipe, "optimizer.reference_learning_rate", rate.reference or 0.0)
    rule_origin = written_or(recipe.marks, "optimizer.scaling.rule", default(f"auto for {optimizer.name}"))
    rule_origin = written_or(recipe.marks, "optimizer.scaling", rule_origin)
    return {
        "learning_rate.scaling_rule": rule_origin,
        "learning_rate.scale": derived(f"{rate.rule} of {ratio}"),
        "learning_rate.reference_learning_rate": written_or(
            recipe.marks, "optimizer.reference_learning_rate", default()
        ),
        "learning_rate.peak_learning_rate": derived(f"{reference} x {rate.scale:g} ({rate.rule} rule)"),
    }


def _far(*, recipe: Recipe, batch: int, reference: Fraction) -> tuple[Problem, ...]:
    """Warnings where the published range of a rule ends.

    linear for SGD: top-1 holds to 8192 and factor 32, breaks beyond (Goyal et al. 2017, arXiv:1706.02677 figure 1;
    dm-haiku ResNet-50 README: 71.7 at 32768 for 76.7 at 256). Adam: 1,911 published runs of the Step Law (Li et al.
    2025, arXiv:2503.04715), moved by linear x4 cost 19 % loss; batch 1 against 512 in arXiv:2507.07101 for shrinking.
    BERT: AdamW fails above 16,384 sequences (You et al. 2019, arXiv:1904.00962).
    """
    rule, name, factor = rule_of(recipe), recipe.optimizer.name, Fraction(batch) / reference
    limit = {("linear", True): 32, ("linear", False): 2, ("sqrt", False): 4, ("sqrt", True): 32}.get(
        (rule, name == "sgd")
    )
    reason = ""
    if limit is not None and factor > limit:
        reason = f"the {rule} rule is not shown to hold beyond x{limit} for {name}"
    elif rule == "linear" and name == "sgd" and factor > 1 and batch > 8192:
        reason = "the linear rule is not shown to hold beyond batches of 8192"
    elif rule != "none" and factor < Fraction(1, 8):
        reason = "below an eighth of the reference batch no rule is shown to hold"
    elif (
        rule != "none" and factor > 1 and batch > 16384 and name == "adamw" and recipe.model.kind == "encoder"
    ):
        reason = "AdamW is not shown to train encoders beyond batches of 16384"
    if not reason:
        return ()
    return (
        Problem(
            code="scaled-far",
            severity="warning",
            path="optimizer.reference_learning_rate",
            message=f"{_key(recipe, 'reference_learning_rate')} is scaled from batch "
            f"{_shown(reference)} to {batch}, x{_shown(factor)}: {reason}",
            hint="measure the learning rate at this batch and write optimizer.learning_rate",
        ),
    )


def _key(recipe: Recipe, name: str) -> str:
    """A learning rate with its key, as written."""
    path = f"optimizer.{name}"
    return f"`{path}: {as_written(recipe, path, getattr(recipe.optimizer, name))}`"


def _shown(number: Fraction) -> str:
    return str(number.numerator) if number.denominator == 1 else f"{float(number):.4g}"
