"""The optimizer of a plan as DeepSpeed builds it, where the plan leaves building it to the engine.

Source: deepspeed@0.19.8 runtime/engine.py:_configure_basic_optimizer.
"""

from __future__ import annotations

from typing import Any

from launcher.engines.formats.limits import cannot
from launcher.errors import Problem
from launcher.spec.plan import RunPlan

__all__ = ["optimizer_block", "optimizer_problems"]

_KNOWN = ("adam", "adamw", "lion", "rmsprop", "sgd")


def optimizer_block(plan: RunPlan) -> dict[str, Any]:
    """Type and every parameter; the learning rate is the peak, and whoever owns the schedule sets it at each step."""
    optimizer = plan.optimizer
    rate = plan.learning_rate
    assert rate is not None
    shared = {"lr": float(rate.peak_learning_rate), "weight_decay": float(optimizer.weight_decay)}
    if optimizer.name in {"adam", "adamw"}:
        # "Adam" means AdamW to DeepSpeed unless adam_w_mode is false; torch's own class needs no compiled operator
        params = {
            **shared,
            "betas": list(optimizer.betas),
            "eps": float(optimizer.epsilon),
            "adam_w_mode": optimizer.name == "adamw",
            "torch_adam": plan.layout.device_kind == "cpu",
        }
        return {"type": "AdamW" if optimizer.name == "adamw" else "Adam", "params": params}
    if optimizer.name == "lion":
        return {"type": "Lion", "params": {**shared, "betas": list(optimizer.betas)}}
    momentum = {"momentum": float(optimizer.momentum)}
    if optimizer.name == "rmsprop":
        # alpha has no key in a recipe; 0.99 is torch's own default, written out
        return {
            "type": "RMSprop",
            "params": {**shared, **momentum, "eps": float(optimizer.epsilon), "alpha": 0.99},
        }
    return {"type": "SGD", "params": {**shared, **momentum, "nesterov": optimizer.nesterov}}


def optimizer_problems(plan: RunPlan) -> tuple[Problem, ...]:
    """What stands in the way of an optimizer built by DeepSpeed."""
    optimizer = plan.optimizer
    if optimizer.owner != "engine":
        return ()
    script = "write optimizer.owner: script"
    found = []
    if optimizer.name not in _KNOWN:
        found.append(
            cannot(
                "optimizer.name",
                f"`optimizer.name: {optimizer.name}` with `optimizer.owner: engine`: DeepSpeed builds "
                f"{', '.join(_KNOWN[:-1])} and {_KNOWN[-1]}",
                hint=script,
            )
        )
    elif optimizer.name == "lion" and plan.layout.device_kind == "cpu":
        found.append(
            cannot(
                "optimizer.name",
                "`optimizer.name: lion` with `optimizer.owner: engine` needs a GPU",
                hint=script,
            )
        )
    if plan.learning_rate is None:
        found.append(
            cannot(
                "optimizer.owner",
                "`optimizer.owner: engine` without a learning rate: DeepSpeed would take its own",
                hint="write optimizer.learning_rate",
            )
        )
    return tuple(found)
