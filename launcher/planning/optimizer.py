"""Optimizer and number formats, with their defaults filled in."""

from __future__ import annotations

from launcher.planning.origins import default, written_or
from launcher.spec.marks import Origin
from launcher.spec.plan import LayoutPlan, OptimizerPlan, PrecisionPlan
from launcher.spec.recipe import Recipe
from launcher.spec.training import Precisions

__all__ = ["SECOND_MOMENT", "optimizer_origins", "optimizer_plan", "precision_plan"]

# torch@2.13.0 torch/optim/adamw.py:AdamW and torch/optim/sgd.py:SGD
_BETAS = (0.9, 0.999)
_EPSILON = 1e-8

SECOND_MOMENT = frozenset({"adam", "adamw", "adamw-8bit", "lamb"})
"""Optimizers whose beta2 is the decay per step of a second moment."""


def optimizer_plan(recipe: Recipe) -> OptimizerPlan:
    """The optimizer's settings, torch's defaults where none is written."""
    written = recipe.optimizer
    return OptimizerPlan(
        name=written.name,
        owner=written.owner,
        betas=written.betas or _BETAS,
        momentum=written.momentum or 0.0,
        nesterov=written.nesterov,
        epsilon=written.epsilon or _EPSILON,
        weight_decay=written.weight_decay,
        gradient_clipping=written.gradient_clipping,
        implementation=written.implementation,
        weight_average_decay=written.weight_average_decay,
    )


def precision_plan(*, recipe: Recipe, layout: LayoutPlan) -> PrecisionPlan:
    """What the model computes in: fp32 on CPU, else bf16, where nothing is written."""
    written = recipe.precision
    if isinstance(written, Precisions):
        scale = written.loss_scale
        return PrecisionPlan(
            compute=written.compute,
            parameter_dtype=written.parameter_dtype,
            gradient_dtype=written.gradient_dtype,
            reduce_dtype=written.reduce_dtype,
            master_weights=written.master_weights,
            autocast=written.autocast,
            loss_scale_initial=scale.initial if scale else None,
            loss_scale_static=scale.static if scale else None,
        )
    if written == "auto":
        return PrecisionPlan(compute="fp32" if layout.device_kind == "cpu" else "bf16")
    return PrecisionPlan(compute=written)


def optimizer_origins(recipe: Recipe) -> dict[str, Origin]:
    """Origins of optimizer, precision and seed."""
    marks = recipe.marks
    names = (
        "name",
        "betas",
        "momentum",
        "epsilon",
        "weight_decay",
        "weight_average_decay",
        "gradient_clipping",
    )
    found = {f"optimizer.{name}": written_or(marks, f"optimizer.{name}", default()) for name in names}
    precision = written_or(marks, "precision.compute", default("fp32 on CPU, else bf16"))
    return {
        **found,
        "precision.compute": written_or(marks, "precision", precision),
        "seed": written_or(marks, "seed", default()),
    }
