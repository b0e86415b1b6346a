"""The peak learning rate of a run: as written, or scaled from a reference, with the words that say which and why."""

from __future__ import annotations

from typing import NamedTuple

from launcher.errors import Problem
from launcher.planning.model import sequence_tokens
from launcher.planning.origins import default, derived, written_or
from launcher.planning.reference import Ratio, Reference, reference_of
from launcher.planning.scaling import ALPHA, Rule, critical_batch_tokens, rule_of, scale_at
from launcher.planning.solved import Solved
from launcher.planning.words import as_written
from launcher.spec.marks import Origin
from launcher.spec.recipe import Recipe
from launcher.spec.training import Scaling

__all__ = ["Rate", "solve_rate"]


class Rate(NamedTuple):
    """A peak learning rate and how it came about."""

    peak: float
    reference: float | None
    """The rate it was scaled from."""
    rule: Rule
    scale: float
    ratio: Ratio | None
    reason: str
    """What was done and why, in one sentence."""


def solve_rate(*, recipe: Recipe, global_batch_size: int) -> Solved[Rate]:
    """The peak learning rate; value None and no error where none is written."""
    optimizer = recipe.optimizer
    if optimizer.learning_rate is not None:
        return _as_written(recipe, optimizer.learning_rate)
    if optimizer.reference_learning_rate is None:
        return Solved(value=None)
    missing = _missing(recipe)
    if missing:
        return Solved(value=None, problems=missing)
    return _scaled(recipe=recipe, batch=global_batch_size, reference_rate=optimizer.reference_learning_rate)


def _as_written(recipe: Recipe, peak: float) -> Solved[Rate]:
    both = recipe.optimizer.reference_learning_rate is not None
    reason = "as written: learning_rate is never scaled"
    rate = Rate(peak=peak, reference=None, rule="none", scale=1.0, ratio=None, reason=reason)
    return Solved(
        value=None if both else rate,
        problems=(_both_rates(recipe),) if both else (),
        origins={
            "learning_rate.peak_learning_rate": written_or(
                recipe.marks, "optimizer.learning_rate", default()
            ),
            "learning_rate.scaling_rule": default("learning_rate is never scaled"),
            "learning_rate.scale": default("learning_rate is never scaled"),
        },
    )


def _scaled(*, recipe: Recipe, batch: int, reference_rate: float) -> Solved[Rate]:
    reference, length = reference_of(recipe), sequence_tokens(recipe)
    scale = scale_at(recipe, global_batch_size=batch, sequence_length=length)
    assert reference is not None
    assert scale.ratio is not None
    rate = Rate(
        peak=reference_rate * scale.factor,
        reference=reference_rate,
        rule=scale.rule,
        scale=scale.factor,
        ratio=scale.ratio,
        reason=_reason(recipe, scale.ratio, reference),
    )
    from launcher.planning.scaled_far import far_problems

    problems = far_problems(recipe=recipe, batch=batch, scale=scale, reference_rate=reference_rate)
    return Solved(value=rate, problems=problems, origins=_origins(recipe, rate, scale.ratio))


def _reason(recipe: Recipe, ratio: Ratio, reference: Reference) -> str:
    rule, name = rule_of(recipe), recipe.optimizer.name
    why = f"the default for {name}" if recipe.optimizer.scaling == "auto" else "as written"
    if rule == "none":
        return "reference_learning_rate kept at any batch: scaling none, as written"
    words = f"{rule} rule ({why}) on {_compared(ratio)}"
    length = sequence_tokens(recipe)
    if reference.sequence_length != length:
        words += f", as sequences have {length} tokens here and {reference.sequence_length} at the reference"
    return words


def _compared(ratio: Ratio) -> str:
    unit = "sequences" if ratio.unit == "samples" else "tokens"
    return f"{float(ratio.batch):.12g} / {float(ratio.reference):.12g} {unit}"


def _origins(recipe: Recipe, rate: Rate, ratio: Ratio) -> dict[str, Origin]:
    optimizer, marks = recipe.optimizer, recipe.marks
    reference = as_written(recipe, "optimizer.reference_learning_rate", rate.reference or 0.0)
    rule = written_or(marks, "optimizer.scaling.rule", default(f"auto for {optimizer.name}"))
    return {
        "learning_rate.scaling_rule": written_or(marks, "optimizer.scaling", rule),
        "learning_rate.scale": derived(f"{rate.rule} of {_compared(ratio)}{_parameters(recipe)}"),
        "learning_rate.reference_learning_rate": written_or(
            marks, "optimizer.reference_learning_rate", default()
        ),
        "learning_rate.reference_batch": _batch_origin(recipe, ratio),
        "learning_rate.batch_ratio": derived(_compared(ratio)),
        "learning_rate.peak_learning_rate": derived(f"{reference} x {rate.scale:g} ({rate.rule} rule)"),
    }


def _batch_origin(recipe: Recipe, ratio: Ratio) -> Origin:
    optimizer = recipe.optimizer
    if optimizer.reference_batch_tokens is not None:
        return written_or(recipe.marks, "optimizer.reference_batch_tokens", default())
    if ratio.unit == "samples":
        return written_or(recipe.marks, "optimizer.reference_batch_size", default())
    lengths = f"reference_sequence_length {optimizer.reference_sequence_length}"
    return derived(f"reference_batch_size {optimizer.reference_batch_size} x {lengths}")


def _parameters(recipe: Recipe) -> str:
    """Exponent and critical batch of a rule that has them, with who chose them."""
    scaling = recipe.optimizer.scaling
    critical = critical_batch_tokens(recipe)
    if not isinstance(scaling, Scaling) or critical is None:
        return ""
    alpha = f"{ALPHA:g} by default" if scaling.alpha is None else f"{scaling.alpha:g}"
    law = " = 0.58 x tokens of the run ** 0.571 (arXiv:2503.04715)"
    shown = f"{float(critical):.10g} tokens{law if scaling.critical_batch_tokens == 'auto' else ''}"
    return f", alpha {alpha}, critical batch {shown}"


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
    optimizer, scaling = recipe.optimizer, recipe.optimizer.scaling
    found, length = [], sequence_tokens(recipe)
    if optimizer.reference_batch_size is None and optimizer.reference_batch_tokens is None:
        found.append(
            Problem(
                code="missing-reference-batch",
                path="optimizer.reference_learning_rate",
                message=f"{_key(recipe, 'reference_learning_rate')} has no batch; expected the batch it was tuned at",
                hint="write optimizer.reference_batch_size, or optimizer.learning_rate to apply it as written",
            )
        )
    saturates = isinstance(scaling, Scaling) and scaling.rule in {"capped", "saturating"}
    critical = scaling.critical_batch_tokens if isinstance(scaling, Scaling) else None
    if saturates and critical is None:
        found.append(_missing_critical_batch(rule_of(recipe)))
    in_tokens = (
        optimizer.reference_batch_tokens is not None or optimizer.reference_sequence_length is not None
    )
    if length is None and (in_tokens or critical is not None):
        found.append(_tokens_need_length(recipe))
    elif saturates and critical == "auto" and critical_batch_tokens(recipe) is None:
        found.append(_critical_batch_needs_length())
    return tuple(found)


def _missing_critical_batch(rule: str) -> Problem:
    return Problem(
        code="missing-scaling-parameter",
        path="optimizer.scaling.rule",
        message=f"`optimizer.scaling.rule: {rule}` needs critical_batch_tokens, which is absent",
        hint=f"write {{rule: {rule}, critical_batch_tokens: 4Mi}}, or auto for the Step Law's batch",
    )


def _critical_batch_needs_length() -> Problem:
    return Problem(
        code="schedule-needs-length",
        path="optimizer.scaling.critical_batch_tokens",
        message="`optimizer.scaling.critical_batch_tokens: auto` depends on the tokens of the run, which are not known",
        hint="write schedule.length: 10B tokens, data.num_tokens, or the critical batch itself",
    )


def _tokens_need_length(recipe: Recipe) -> Problem:
    optimizer, scaling = recipe.optimizer, recipe.optimizer.scaling
    key, value = "reference_sequence_length", str(optimizer.reference_sequence_length)
    if optimizer.reference_batch_tokens is not None:
        key, value = "reference_batch_tokens", str(optimizer.reference_batch_tokens)
    elif isinstance(scaling, Scaling) and scaling.critical_batch_tokens is not None:
        key, value = "scaling.critical_batch_tokens", str(scaling.critical_batch_tokens)
    return Problem(
        code="tokens-need-sequence-length",
        path=f"optimizer.{key}",
        message=f"`optimizer.{key}: {value}` cannot become sequences: `sequence_length` is absent",
        hint="write sequence_length, or optimizer.reference_batch_size instead",
    )


def _key(recipe: Recipe, name: str) -> str:
    """A learning rate with its key, as written."""
    path = f"optimizer.{name}"
    return f"`{path}: {as_written(recipe, path, getattr(recipe.optimizer, name))}`"
