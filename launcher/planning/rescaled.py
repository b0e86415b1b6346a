"""The optimizer's settings at this batch: as written, or rescaled from the reference batch where that is asked for."""

from __future__ import annotations

import math
from dataclasses import replace
from fractions import Fraction
from typing import Any, NamedTuple

from launcher.errors import Problem
from launcher.planning.model import sequence_tokens
from launcher.planning.optimizer import SECOND_MOMENT, optimizer_plan
from launcher.planning.origins import derived
from launcher.planning.peak_rate import Rate
from launcher.planning.reference import batch_ratio, reference_of
from launcher.planning.rescale_problems import DECOUPLED, rescale_problems
from launcher.planning.rescaling import (
    adam_beta_by_square_root_rule,
    beta_at_same_tokens,
    weight_average_decay,
    weight_decay_at_same_timescale,
    weight_decay_timescale,
)
from launcher.planning.solved import Solved
from launcher.planning.yardstick import run_tokens
from launcher.spec.plan import OptimizerPlan
from launcher.spec.recipe import Recipe

__all__ = ["kappa_of", "second_moment_at", "solve_optimizer"]


class _Changed(NamedTuple):
    """One setting at this batch, and how it follows from the one that was written."""

    value: Any
    formula: str


def kappa_of(recipe: Recipe, *, global_batch_size: int | Fraction) -> Fraction | None:
    """The batch over the reference batch, dimensionless; None where no reference batch is known."""
    reference, length = reference_of(recipe), sequence_tokens(recipe)
    if reference is None:
        return None
    return batch_ratio(reference, global_batch_size=global_batch_size, sequence_length=length).kappa


def solve_optimizer(
    *, recipe: Recipe, rate: Rate | None, total_samples: Fraction | None, global_batch_size: int | None
) -> Solved[OptimizerPlan]:
    """Settings for this batch; those that were rescaled with their formula and with what was written.

    total_samples: of the run; None: no timescale. global_batch_size: None where it was refused.
    """
    written = optimizer_plan(recipe)
    if global_batch_size is None:
        return Solved(value=written)
    total_steps = _steps_at(recipe, batch=global_batch_size, total_samples=total_samples)
    kappa = kappa_of(recipe, global_batch_size=global_batch_size)
    problems = rescale_problems(recipe=recipe, kappa=kappa)
    if _refuses(problems):
        return Solved(value=written, problems=problems)
    scale = 1.0 if rate is None else rate.scale
    found = {} if kappa in {None, 1} else _changed(recipe, written, kappa=kappa or Fraction(1), scale=scale)
    plan = replace(
        written,
        **{name: changed.value for name, changed in found.items()},
        at_reference={name: getattr(written, name) for name in found} or None,
    )
    times = _timescales(written, plan, rate=rate, total_steps=total_steps, kappa=kappa)
    plan = replace(plan, **{name: changed.value for name, changed in times.items()})
    origins = {f"optimizer.{name}": derived(each.formula) for name, each in (found | times).items()}
    return Solved(value=plan, problems=problems, origins=origins)


def second_moment_at(recipe: Recipe, *, global_batch_size: int | Fraction) -> float | None:
    """beta2 as this batch is planned with; None where the optimizer has no second moment."""
    if recipe.optimizer.name not in SECOND_MOMENT:
        return None
    written = optimizer_plan(recipe)
    kappa = kappa_of(recipe, global_batch_size=global_batch_size)
    if kappa is None or kappa == 1 or _refuses(rescale_problems(recipe=recipe, kappa=kappa)):
        return written.betas[1]
    betas = _betas(recipe, written, kappa).get("betas")
    return written.betas[1] if betas is None else float(betas.value[1])


def _steps_at(recipe: Recipe, *, batch: int, total_samples: Fraction | None) -> Fraction | None:
    """Steps of this batch that the run's data are worth, D / B: in tokens where stages change what a sample is."""
    length, tokens = sequence_tokens(recipe), run_tokens(recipe)
    if recipe.stages and length is not None and tokens is not None:
        return tokens / (batch * length)
    return None if total_samples is None else total_samples / batch


def _refuses(problems: tuple[Problem, ...]) -> bool:
    return any(problem.severity == "error" for problem in problems)


def _changed(recipe: Recipe, written: OptimizerPlan, *, kappa: Fraction, scale: float) -> dict[str, _Changed]:
    return {
        **_betas(recipe, written, kappa),
        **_weight_decay(recipe, written, kappa=kappa, scale=scale),
        **_average(written, kappa),
    }


def _betas(recipe: Recipe, written: OptimizerPlan, kappa: Fraction) -> dict[str, _Changed]:
    choice, (beta1, beta2), shown = recipe.optimizer.rescale.betas, written.betas, f"{float(kappa):.6g}"
    if choice == "none" or written.name not in SECOND_MOMENT:
        return {}
    if choice == "token-half-life":
        moved = beta_at_same_tokens(beta=beta2, kappa=float(kappa))
        formula = f"beta2 {beta2:g} ** {shown}, the same half-life in tokens (arXiv:2507.07101)"
        return {"betas": _Changed((beta1, moved), formula)}
    both = tuple(adam_beta_by_square_root_rule(beta=beta, kappa=kappa) for beta in written.betas)
    epsilon = written.epsilon / math.sqrt(kappa)
    return {
        "betas": _Changed(both, f"1 - {shown} x (1 - beta) of {beta1:g}, {beta2:g} (sde, arXiv:2205.10287)"),
        "epsilon": _Changed(epsilon, f"{written.epsilon:g} / sqrt({shown}) (sde, arXiv:2205.10287)"),
    }


def _weight_decay(
    recipe: Recipe, written: OptimizerPlan, *, kappa: Fraction, scale: float
) -> dict[str, _Changed]:
    idle = recipe.optimizer.rescale.weight_decay == "none" or not written.weight_decay
    if idle or written.name not in DECOUPLED:
        return {}
    value = weight_decay_at_same_timescale(
        weight_decay=written.weight_decay, kappa=float(kappa), learning_rate_scale=scale
    )
    formula = (
        f"{written.weight_decay:g} x {float(kappa):.6g} / {scale:.6g}, the same timescale (arXiv:2405.13698)"
    )
    return {"weight_decay": _Changed(value, formula)}


def _average(written: OptimizerPlan, kappa: Fraction) -> dict[str, _Changed]:
    decay = written.weight_average_decay
    if decay is None:
        return {}
    value = weight_average_decay(decay=decay, kappa=float(kappa))
    return {
        "weight_average_decay": _Changed(value, f"{decay:g} ** {float(kappa):.6g} (arXiv:2307.13813)"),
    }


def _timescales(
    written: OptimizerPlan,
    plan: OptimizerPlan,
    *,
    rate: Rate | None,
    total_steps: Fraction | None,
    kappa: Fraction | None,
) -> dict[str, _Changed]:
    """AdamW's averaging time here and at the reference: B / (eta lambda D) is 1 / (eta lambda steps)."""
    if plan.name not in DECOUPLED or not plan.weight_decay or rate is None or not total_steps:
        return {}
    found = {"weight_decay_timescale": _timescale(rate.peak, plan.weight_decay, total_steps)}
    if kappa is not None and rate.reference is not None:
        at_reference = _timescale(rate.reference, written.weight_decay, total_steps * kappa)
        found["reference_timescale"] = at_reference
    return found


def _timescale(learning_rate: float, weight_decay: float, steps: Fraction) -> _Changed:
    value = weight_decay_timescale(
        tokens_per_step=1, learning_rate=learning_rate, weight_decay=weight_decay, total_tokens=float(steps)
    )
    shown = f"1 / ({learning_rate:g} x {weight_decay:g} x {float(steps):.10g} steps) (arXiv:2405.13698)"
    return _Changed(value, shown)
