"""What stands in the way of rescaling betas and weight decay: no reference, or a batch that the rule does not reach."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction

from launcher.errors import Problem
from launcher.planning.optimizer import SECOND_MOMENT, optimizer_plan
from launcher.planning.rescaling import largest_ratio_of_betas
from launcher.planning.scaling import rule_of
from launcher.spec.recipe import Recipe

__all__ = ["DECOUPLED", "rescale_problems"]

DECOUPLED = frozenset({"adamw", "adamw-8bit"})
"""Optimizers whose weight decay is multiplied by the learning rate and by nothing else."""


def rescale_problems(*, recipe: Recipe, kappa: Fraction | None) -> tuple[Problem, ...]:
    """Problems of optimizer.rescale. kappa: batch over reference batch, None where no reference is known."""
    return (*_without_reference(recipe, kappa), *_betas(recipe, kappa))


def _without_reference(recipe: Recipe, kappa: Fraction | None) -> Iterator[Problem]:
    rescale = recipe.optimizer.rescale
    if rescale.betas != "none" and kappa is None:
        yield Problem(
            code="rescale-without-reference",
            path="optimizer.rescale.betas",
            message=f"`optimizer.rescale.betas: {rescale.betas}` has no batch to rescale from",
            hint="write optimizer.reference_batch_size, or the betas of this batch without rescale",
        )
    if rescale.weight_decay != "none" and (kappa is None or recipe.optimizer.reference_learning_rate is None):
        yield Problem(
            code="rescale-without-reference",
            path="optimizer.rescale.weight_decay",
            message=f"`optimizer.rescale.weight_decay: {rescale.weight_decay}` has no reference to rescale from",
            because=("it needs the batch and the learning rate that the weight decay was tuned with",),
            hint="write optimizer.reference_learning_rate and reference_batch_size, or the weight decay of this batch",
        )


def _betas(recipe: Recipe, kappa: Fraction | None) -> Iterator[Problem]:
    """Source: Malladi et al. 2022, arXiv:2205.10287: 1 - kappa (1 - beta) is a decay only while it is above 0."""
    if recipe.optimizer.rescale.betas != "sde" or kappa is None:
        return
    if recipe.optimizer.name not in SECOND_MOMENT:
        return
    written = optimizer_plan(recipe).betas
    bound = largest_ratio_of_betas(*written)
    if kappa >= bound:
        yield Problem(
            code="rescaled-too-far",
            path="optimizer.rescale.betas",
            message=f"`optimizer.rescale.betas: sde` ends below x{float(bound):.4g} the reference batch; this one is "
            f"x{float(kappa):.4g}",
            because=(
                f"1 / (1 - {min(written):g}) = {float(bound):.4g} (Malladi et al. 2022, arXiv:2205.10287)",
            ),
            hint="use a smaller batch, a larger reference batch, or betas: token-half-life",
        )
    rule = rule_of(recipe)
    if rule != "sqrt" and kappa != 1 and recipe.optimizer.reference_learning_rate is not None:
        yield Problem(
            code="sde-without-sqrt",
            severity="warning",
            path="optimizer.rescale.betas",
            message=f"`optimizer.rescale.betas: sde` belongs to the sqrt rule, and the learning rate follows {rule}",
            because=("both come from one equation (Malladi et al. 2022, arXiv:2205.10287)",),
            hint="write optimizer.scaling: sqrt, or leave rescale.betas out",
        )
