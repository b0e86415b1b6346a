"""Where the published range of a scaling rule ends: warnings with their source, and a note on a better founded rule.

Nothing here changes a number.
"""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction

from launcher.errors import Problem
from launcher.planning.laws.step_law import LAW, batch_tokens
from launcher.planning.model import sequence_tokens
from launcher.planning.reference import Ratio
from launcher.planning.scaling import Scale, scale_by
from launcher.planning.words import as_written
from launcher.planning.yardstick import run_tokens
from launcher.spec.recipe import Recipe
from launcher.spec.training import Scaling

__all__ = ["far_problems"]

_GOYAL = "Goyal et al. 2017, arXiv:1706.02677"
_STEP_LAW = "arXiv:2503.04715"
_RUNS = f"by our calculation from the 1,911 dense runs of {_STEP_LAW}"
_ADAM = {"adam", "adamw", "adamw-8bit"}
_LANGUAGE_MODELS = {"decoder", "moe"}

_FITTED = next((axis.low, axis.high) for axis in LAW.axes if axis.name == "D")
"""Tokens of the runs that the Step Law was fitted to; it is asked up to ten times beyond."""

_LARGE = (
    "large-batch runs at unchanged learning rate and epochs take fewer optimizer steps and often end with higher loss; "
    "published studies disagree whether a gap remains after retuning (docs/explanation/what-is-not-known.md)"
)
"""All that is said of what a large batch does to a model: the rest is disputed, and cited on that page."""

_FARTHEST = {"lamb": (64, "You et al. 2019, arXiv:1904.00962: BERT from 512 to 32768")}
"""sqrt: the largest ratio shown, where it is not 32 (SGD) or 4 (Adam and its like)."""

_POWER_LAWS = {"linear", "sqrt"}
_LOSS_RISES = {
    "decoder": {"linear": (18.4, 62.5), "sqrt": (0.5, 0.85), "saturating": (0.21, 0.25)},
    "moe": {"linear": (1.35, 2.84), "sqrt": (0.22, 0.34), "saturating": (0.17, 0.3)},
}
"""Mean percent of loss above the best rate's, moved by 4 and by 8; saturating with alpha 0.75.

Source: benchmarks/scaling_rules.py from step-law/steplaw@32a8f4c data/dense_lr_bs_loss.csv and moe_lr_bs_loss.csv.
"""
_NOISE = 0.1
"""Percent of loss in which two rules do not differ."""


def far_problems(*, recipe: Recipe, batch: int, scale: Scale, reference_rate: float) -> tuple[Problem, ...]:
    """A warning with every limit that is passed, and a note where the saturating rule is better founded."""
    if scale.ratio is None or scale.rule == "none":
        return ()
    reasons = tuple(_reasons(recipe, batch=batch, scale=scale, ratio=scale.ratio))
    warned = (_far(recipe, ratio=scale.ratio, reasons=reasons),) if reasons else ()
    return (*warned, *_saturating_is_better(recipe, scale=scale, ratio=scale.ratio, rate=reference_rate))


def _far(recipe: Recipe, *, ratio: Ratio, reasons: tuple[str, ...]) -> Problem:
    path = "optimizer.reference_learning_rate"
    written = as_written(recipe, path, recipe.optimizer.reference_learning_rate or 0.0)
    unit = " tokens" if ratio.unit == "tokens" else ""
    return Problem(
        code="scaled-far",
        severity="warning",
        path=path,
        message=f"`{path}: {written}` is scaled from batch {_shown(ratio.reference)} to {_shown(ratio.batch)}{unit}, "
        f"x{_shown(ratio.kappa)}: further than was published",
        because=(*reasons, _LARGE) if ratio.kappa > 1 else reasons,
        hint="measure the learning rate at this batch and write optimizer.learning_rate",
    )


def _reasons(recipe: Recipe, *, batch: int, scale: Scale, ratio: Ratio) -> Iterator[str]:
    """Each limit that is passed, with the source that it was read in."""
    rule, name, kappa = scale.rule, recipe.optimizer.name, ratio.kappa
    limit, source = _farthest(rule, name)
    if limit is not None and kappa > limit:
        yield f"the {rule} rule is not shown to hold beyond x{limit} for {name} ({source})"
    if rule == "linear" and name == "sgd" and kappa > 1 and batch > 8192:
        yield f"the linear rule is not shown to hold beyond batches of 8192 ({_GOYAL})"
    if kappa < Fraction(1, 8):
        yield "below an eighth of the reference batch no rule is shown to hold (Marek et al. 2025, arXiv:2507.07101)"
    if kappa > 1 and batch > 16384 and name == "adamw" and recipe.model.kind == "encoder":
        yield "AdamW is not shown to train encoders beyond batches of 16384 (You et al. 2019, arXiv:1904.00962)"
    yield from _extrapolated(recipe)
    best = _best_batch(recipe)
    if best is not None and kappa > 1 and rule in _POWER_LAWS and _tokens(recipe, batch) > best:
        yield (
            f"{_tokens(recipe, batch)} tokens per step are more than the {best:.0f} that the Step Law finds best for "
            f"this run; beyond them the best rate of dense models grows no more ({_STEP_LAW})"
        )


def _extrapolated(recipe: Recipe) -> Iterator[str]:
    scaling, total = recipe.optimizer.scaling, run_tokens(recipe)
    asked = isinstance(scaling, Scaling) and scaling.critical_batch_tokens == "auto"
    if asked and total is not None and not _FITTED[0] <= total <= _FITTED[1]:
        low, high = (f"{number / 10**9:g}" for number in _FITTED)
        yield (
            f"critical_batch_tokens: auto is asked for a run of {float(total) / 10**9:.4g} B tokens; the Step Law was "
            f"fitted from {low} to {high} B ({_STEP_LAW})"
        )


def _farthest(rule: str, name: str) -> tuple[int | None, str]:
    """Largest ratio of batches that was shown, and where.

    linear for SGD: top-1 holds to 8192 and factor 32, breaks beyond (figure 1; dm-haiku ResNet-50 README: 71.7 at 32768
    for 76.7 at 256). Adam: by linear x4 the loss rises by 18 %.
    """
    if rule == "sqrt" and name in _FARTHEST:
        return _FARTHEST[name]
    if rule in {"linear", "sqrt"} and name == "sgd":
        return 32, _GOYAL
    if rule in _POWER_LAWS:
        return {"linear": 2, "sqrt": 4}[rule], _RUNS
    return None, ""


def _saturating_is_better(recipe: Recipe, *, scale: Scale, ratio: Ratio, rate: float) -> tuple[Problem, ...]:
    best = _best_batch(recipe)
    if best is None or scale.rule not in _POWER_LAWS or ratio.kappa <= 4:
        return ()
    costs = _LOSS_RISES[recipe.model.kind]
    if costs[scale.rule][0] - costs["saturating"][0] < _NOISE:
        return ()
    critical = Fraction(best)
    if ratio.unit == "samples":
        critical /= sequence_tokens(recipe) or 1
    other = scale_by("saturating", ratio=ratio, critical_batch=critical)
    return (
        Problem(
            code="scaling-saturates",
            severity="note",
            path="optimizer.scaling",
            message=f"the saturating rule, better founded here, would scale by {other:.4g} to {rate * other:.4g} "
            f"(the {scale.rule} rule: by {scale.factor:.4g} to {rate * scale.factor:.4g})",
            because=(
                _regret(scale.rule, kind=recipe.model.kind),
                f"critical batch {best:.0f} tokens = 0.58 x tokens of the run ** 0.571, alpha 0.75",
            ),
            hint="write optimizer.scaling: {rule: saturating, critical_batch_tokens: auto} to use it",
        ),
    )


def _regret(rule: str, *, kind: str) -> str:
    (four, eight), (least_four, least_eight) = _LOSS_RISES[kind][rule], _LOSS_RISES[kind]["saturating"]
    runs = _RUNS if kind == "decoder" else f"by our calculation from the 708 runs of experts of {_STEP_LAW}"
    by_four = f"x4 by {rule} ends {four:g} % above the best loss, by saturating {least_four:g} %"
    return f"{by_four}; x8 {eight:g} % and {least_eight:g} % ({runs})"


def _best_batch(recipe: Recipe) -> float | None:
    """The Step Law's batch in tokens, for models and optimizers like those it was fitted to."""
    if recipe.optimizer.name not in _ADAM or recipe.model.kind not in _LANGUAGE_MODELS:
        return None
    total = run_tokens(recipe)
    if total is None or not sequence_tokens(recipe) or not _FITTED[0] / 10 <= total <= _FITTED[1] * 10:
        return None
    return batch_tokens(tokens=float(total))


def _tokens(recipe: Recipe, batch: int) -> int:
    return batch * (sequence_tokens(recipe) or 0)


def _shown(number: Fraction) -> str:
    return str(number.numerator) if number.denominator == 1 else f"{float(number):.4g}"
