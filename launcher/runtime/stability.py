"""What the runtime looks at while it trains, from the plan's own numbers; the looking is the witness's too."""

from __future__ import annotations

from batchwright_witness.stability.watching import Stability
from launcher.spec.plan import RunPlan

__all__ = ["clips", "stability_of"]


def stability_of(plan: RunPlan) -> Stability:
    """A fresh look at the training of a plan: where its gradients are clipped, how long it warms up."""
    rates = plan.learning_rate
    return Stability(
        max_norm=plan.optimizer.gradient_clipping, warmup_steps=0 if rates is None else rates.warmup_steps
    )


def clips(plan: RunPlan, norm: float | None) -> bool | None:
    """Whether a gradient of this norm is clipped; None where nothing is clipped, or the norm is not known."""
    limit = plan.optimizer.gradient_clipping
    return None if limit is None or norm is None else norm > limit
