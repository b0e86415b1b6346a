"""All that is measured of a checkpoint on one batch, with the limits it is held against. Imports torch."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch.utils._pytree import tree_iter, tree_map

from launcher.measuring.sharpness.agreeing import disagreement
from launcher.measuring.sharpness.checkpoint import Checkpoint, load_into, read_batch, read_checkpoint
from launcher.measuring.sharpness.curvature import flat, top_eigenvalue
from launcher.measuring.sharpness.line import RHO, critical_sharpness, rise_within
from launcher.measuring.sharpness.settled import settled
from launcher.measuring.sharpness.thresholds import (
    adam_threshold,
    gradient_descent_threshold,
    heavy_ball_threshold,
    nesterov_threshold,
)
from launcher.measuring.sharpness.updates import Settings, Update, next_update
from launcher.measuring.trace_module import Refused, find_function, make_ready, taken_by
from launcher.measuring.trace_step import call, loss_of
from launcher.planning.stages.ledger import rate_at
from launcher.spec.plain import from_plain
from launcher.spec.plan import RunPlan

__all__ = ["probe"]

SAME = 1e-6
"""Relative: by how much two losses of one batch may differ before something random must be at work."""


def probe(request: Mapping[str, Any]) -> dict[str, Any]:
    """JSON values. Raises Refused, and whatever the person's code raises."""
    plan = from_plain(RunPlan, request["plan"])
    path = Path(request["checkpoint"])
    torch.manual_seed(plan.seed)
    module, batch = _built(request)
    checkpoint = read_checkpoint(path)
    load_into(module, checkpoint, path)
    if request["batch"]:
        batch = read_batch(Path(request["batch"]))
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    module = module.to(device)
    batch = tree_map(lambda each: each.to(device) if isinstance(each, torch.Tensor) else each, batch)
    began = time.perf_counter()
    with settled(module):
        found = _measured(request, plan, module, batch, checkpoint)
    return {
        "sharpness_version": 1,
        "module": request["module"],
        "checkpoint": str(path),
        "batch": _batch_words(batch, request["batch"]),
        "samples": checkpoint.run.get("samples"),
        "steps": checkpoint.run.get("steps"),
        "device": str(device),
        "seconds": time.perf_counter() - began,
        **found,
    }


def _built(request: Mapping[str, Any]) -> tuple[Any, Any]:
    function = find_function(request["module"], directory=Path(request["directory"]))
    taken = taken_by(function, request["offered"], name=request["module"])
    return make_ready(
        function(**taken.of(request["offered"])),
        name=request["module"],
        compute="fp32",
        autocast=False,
        frozen=tuple(request["frozen"]),
    )


def _measured(
    request: Mapping[str, Any],
    plan: RunPlan,
    module: Any,
    batch: Any,
    checkpoint: Checkpoint,
) -> dict[str, Any]:
    def loss() -> Any:
        return loss_of(call(module, batch))[0].float()

    trained = [each for each in module.parameters() if each.requires_grad]
    value = _one_number(loss, request["module"])
    first = torch.autograd.grad(loss(), trained, allow_unused=True, materialize_grads=True)
    gradient = flat([each.detach() for each in first])
    update = next_update(
        module=module, gradient=gradient, settings=_settings(plan), state=checkpoint.optimizer
    )
    rate, source = _rate(plan, checkpoint.run, update)
    options = {key: request[key] for key in ("iterations", "tolerance")}
    scale = update.scale
    return {
        "loss": value,
        "parameters": len(gradient),
        "gradient_norm": float(gradient.norm()),
        "optimizer": plan.optimizer.name,
        "learning_rate": rate,
        "learning_rate_from": source,
        "hessian": _curvature(loss, trained, options),
        "preconditioned": None if scale is None else _curvature(loss, trained, {**options, "scale": scale}),
        "critical": {
            **critical_sharpness(loss, trained, update.direction, learning_rate=rate or 1e-3)._asdict(),
            "update": update.words,
            "own": update.own,
        },
        "rise": {"value": rise_within(loss, trained, gradient), "rho": RHO},
        "limits": list(_limits(plan, update, rate)),
    }


def _curvature(loss: Callable[[], Any], trained: Sequence[Any], options: Mapping[str, Any]) -> dict[str, Any]:
    """What was found, or in torch's own words why nothing can be."""
    try:
        found = top_eigenvalue(loss, trained, **options)
        why = disagreement(loss, trained, found, scale=options.get("scale"))
    except RuntimeError as error:
        if "out of memory" in str(error).lower():
            raise
        first = str(error).strip().splitlines()[0]
        return {"value": None, "why": f"an operation of the module has no second derivative: {first}"}
    if why:
        return {"value": None, "why": why}
    kept = {name: getattr(found, name) for name in ("value", "residual", "products", "converged")}
    return {**kept, "why": ""}


def _one_number(loss: Callable[[], Any], name: str) -> float:
    with torch.no_grad():
        one, two = float(loss()), float(loss())
    hint = "give the function a batch and a state in which the loss is one finite number"
    if not (one == one and abs(one) < float("inf")):  # noqa: PLR0124 - nan
        raise Refused(
            "sharpness-unmeasured", f"`model.module: {name}`: the loss of the probe batch is {one}", hint=hint
        )
    if abs(one - two) > SAME * abs(one):
        words = (
            f"`model.module: {name}`: the loss of one batch is {one:.9g} and then {two:.9g}, with dropout off"
        )
        raise Refused(
            "sharpness-unmeasured", words, hint="take what is random out of the module, or seed it in forward"
        )
    return one


def _settings(plan: RunPlan) -> Settings:
    one = plan.optimizer
    return Settings(
        name=one.name,
        betas=one.betas,
        epsilon=one.epsilon,
        momentum=one.momentum,
        nesterov=one.nesterov,
        weight_decay=one.weight_decay,
    )


def _rate(plan: RunPlan, run: Mapping[str, Any], update: Update) -> tuple[float | None, str]:
    """The plan's at the checkpoint's samples, else the optimizer's own, else the plan's peak."""
    samples = run.get("samples")
    if isinstance(samples, int) and (planned := rate_at(plan, samples)):
        return planned, f"of the plan at {samples:,} samples"
    if update.learning_rate:
        return update.learning_rate, "of the checkpoint's optimizer"
    if plan.learning_rate is not None:
        return (
            plan.learning_rate.peak_learning_rate,
            "the plan's peak: the checkpoint does not say where it stands",
        )
    return None, "not known: neither plan nor checkpoint has one"


def _limits(plan: RunPlan, update: Update, rate: float | None) -> Iterator[dict[str, Any]]:
    """What each number is held against. On a quadratic loss a step of this rate diverges above it."""
    name = plan.optimizer.name
    if rate is None:
        return
    if name == "sgd":
        momentum, nesterov = plan.optimizer.momentum, plan.optimizer.nesterov
        if update.settings is not None:
            momentum, nesterov = update.settings.momentum, update.settings.nesterov
        limit, words = gradient_descent_threshold(learning_rate=rate), "2 / eta"
        if momentum:
            make = nesterov_threshold if nesterov else heavy_ball_threshold
            limit = make(learning_rate=rate, momentum=momentum)
            words = f"{limit * rate:.4g} / eta, momentum {momentum:g}{', Nesterov' if nesterov else ''}"
        yield {"of": "hessian", "value": limit, "formula": words, "source": "arXiv:2103.00065"}
    if update.scale is not None and update.settings is not None:
        one = update.settings.betas[0]
        limit = adam_threshold(learning_rate=rate, beta1=one)
        words = f"{limit * rate:.4g} / eta, beta1 {one:g}"
        yield {"of": "preconditioned", "value": limit, "formula": words, "source": "arXiv:2207.14484"}
    if update.own or name == "sgd":
        limit = gradient_descent_threshold(learning_rate=rate)
        yield {"of": "critical", "value": limit, "formula": "2 / eta", "source": "arXiv:2601.16979"}


def _batch_words(batch: Any, path: str | None) -> dict[str, Any]:
    tensors = [each for each in tree_iter(batch) if isinstance(each, torch.Tensor) and each.numel()]
    return {
        "from": path or "the function's sample",
        "shapes": [list(each.shape) for each in tensors],
        "constant": bool(tensors) and all(bool((each == each.reshape(-1)[0]).all()) for each in tensors),
    }
