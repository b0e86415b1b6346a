"""Which layers and losses of a model look at the other samples of a micro-batch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from launcher.planning.origins import default, derived, written_or
from launcher.spec.marks import Origin
from launcher.spec.recipe import Recipe

__all__ = ["KNOWN", "NOT_COUPLED", "Coupled", "coupled_names", "coupled_of", "coupled_origins"]

KNOWN: Mapping[str, str] = {
    "batch_norm": "mean and variance of one forward pass on one rank",
    "sync_batch_norm": "mean and variance of one forward pass on all data-parallel ranks",
    "contrastive": "the negatives of a sample are the others of its forward pass",
    "moe_auxiliary": "the balance of the experts is taken over one micro-batch on one rank",
    "moe_capacity": "an expert's slots are counted over one micro-batch on one rank",
}
"""Words of `model.batch_coupled` to what each looks at.

Source: torch@2.13.0 torch/nn/modules/batchnorm.py:BatchNorm2d, SyncBatchNorm; Chen et al. 2020, arXiv:2002.05709
(negatives); NVIDIA/Megatron-LM@d98e8a64 megatron/core/transformer/moe/moe_utils.py (switch_load_balancing_loss_func,
get_capacity: both over the tokens of a micro-batch).
"""
NOT_COUPLED = "frozen_batch_norm"
"""Batch norm with constant statistics: said so that none is assumed."""
_NORMS = frozenset({"batch_norm", "sync_batch_norm", NOT_COUPLED})
_WITHOUT_NORMS = frozenset({"rnn", "lstm", "gru"})


class Coupled(NamedTuple):
    """One layer or loss, and why the plan counts with it; no reason where it is written."""

    name: str
    reason: str = ""


def coupled_of(recipe: Recipe) -> tuple[Coupled, ...]:
    """What of the model depends on the split: what is written, then what follows from the other keys."""
    written = recipe.model.batch_coupled
    found = {name: Coupled(name) for name in written if name != NOT_COUPLED}
    for name, reason in _following(recipe):
        if name in _NORMS and _NORMS.intersection(written):
            continue  # what batch norm it is, is said
        found.setdefault(name, Coupled(name, reason))
    return tuple(found.values())


def coupled_names(recipe: Recipe) -> tuple[str, ...]:
    """Names of coupled_of."""
    return tuple(coupled.name for coupled in coupled_of(recipe))


def coupled_origins(recipe: Recipe) -> dict[str, Origin]:
    """Origin of the plan's list; none where nothing is coupled."""
    reasons = [f"{name}: {reason}" for name, reason in coupled_of(recipe) if reason]
    written = recipe.model.batch_coupled
    if not reasons and not written:
        return {}
    if reasons:
        return {"model.batch_coupled": derived("; ".join((*(("as written",) if written else ()), *reasons)))}
    return {"model.batch_coupled": written_or(recipe.marks, "model.batch_coupled", default())}


def _following(recipe: Recipe) -> Iterator[tuple[str, str]]:
    model = recipe.model
    if model.kind == "resnet" and not _has_another_norm(recipe):
        yield "batch_norm", "a ResNet has batch norm"
    elif model.norm == "batchnorm" and _has_hidden_layers(recipe) and not _traces(recipe):
        yield "batch_norm", "model.norm is batchnorm"
    for name in dict.fromkeys(name for trace in _traces(recipe) for name in trace["coupled"]):
        yield name, f"the trace of {model.module} has found it"
    if model.num_experts and model.capacity_factor is not None:
        yield "moe_capacity", f"model.capacity_factor is {model.capacity_factor:g}"
    if recipe.loss.kind == "contrastive":
        yield "contrastive", "loss.kind is contrastive"


def _traces(recipe: Recipe) -> list[Mapping[str, Any]]:
    """Traces of the module as the recipe's keys build it: of the code as it is, else of what it was."""
    fitting = [file for file in recipe.traces if _is_built_so(recipe, file.content)]
    current = [file for file in fitting if not file.changed]
    return [file.content for file in current or fitting]


def _is_built_so(recipe: Recipe, trace: Mapping[str, Any]) -> bool:
    """Whether no argument that the trace was made with is another key of the recipe's model now; depth aside."""
    given = {name: value for name, value in trace["arguments"].items() if name != "num_layers"}
    return all(getattr(recipe.model, name, value) == value for name, value in given.items())


def _has_another_norm(recipe: Recipe) -> bool:
    """Whether a norm other than the one that residual networks have is asked for."""
    norm = recipe.model.norm
    return norm != "batchnorm" and (norm != "layernorm" or "model.norm" in recipe.marks)


def _has_hidden_layers(recipe: Recipe) -> bool:
    """Whether the kind has layers that take `model.norm`."""
    model = recipe.model
    return model.kind not in _WITHOUT_NORMS and (model.kind != "bag" or bool(model.num_layers))
