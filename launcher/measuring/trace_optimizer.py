"""The optimizer's step under a trace: what it keeps, and what one step holds for a moment. Imports torch."""

from __future__ import annotations

import gc
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch

from launcher.measuring.live_bytes import LiveBytes

__all__ = ["OptimizerTrace", "trace_optimizer"]


@dataclass(frozen=True, slots=True, kw_only=True)
class OptimizerTrace:
    """Bytes of one optimizer."""

    state_bytes: int
    peak: int
    """Everything alive during a step that finds its states there."""
    live: int
    """Everything alive between steps, gradients included."""
    how: str
    """stepped, or why not."""


def trace_optimizer(*, module: Any, book: LiveBytes, asked: Mapping[str, Any]) -> OptimizerTrace:
    """Two steps of the optimizer on the gradients that are there, inside an entered `book`.

    asked: name, implementation (foreach, fused, for-loop), momentum, device_kind. Step counters do not count on CUDA:
    they stay on the host. Source: pytorch@v2.13.0 torch/optim/adam.py:_init_group.
    """
    gc.collect()
    before = book.live
    trained = [parameter for parameter in module.parameters() if parameter.requires_grad]
    optimizer = _optimizer(trained, asked)
    if optimizer is None:
        return OptimizerTrace(state_bytes=0, peak=before, live=before, how=f"torch has no {asked['name']}")
    optimizer.step()
    held = list(optimizer.state.values())
    counters = [state["step"] for state in held if isinstance(state.get("step"), torch.Tensor)]
    on_host = sum(one.bytes for one in book.storages(counters)) if asked["device_kind"] == "cuda" else 0
    gc.collect()
    live, moments = book.live, len(book.moments)
    optimizer.step()
    peak = max((moment.live for moment in book.moments[moments:]), default=live)
    return OptimizerTrace(
        state_bytes=live - before - on_host, peak=peak - on_host, live=live - on_host, how="stepped"
    )


def _optimizer(trained: list[Any], asked: Mapping[str, Any]) -> Any:
    """The optimizer of that name and implementation; None where torch has none of that name."""
    options = {
        "foreach": {"foreach": True},
        "fused": {"fused": True},
        "for-loop": {"foreach": False},
    }[asked["implementation"]]
    momentum = asked["momentum"]
    match asked["name"]:
        case "sgd":
            return torch.optim.SGD(trained, lr=1e-3, momentum=momentum, **options)
        case "adam":
            return torch.optim.Adam(trained, lr=1e-3, **options)
        case "adamw":
            return torch.optim.AdamW(trained, lr=1e-3, **options)
        case "rmsprop":
            options.pop("fused", None)
            return torch.optim.RMSprop(trained, lr=1e-3, momentum=momentum, **options)
        case "adafactor":
            options.pop("fused", None)
            return torch.optim.Adafactor(trained, lr=1e-3, **options)
        case _:
            return None
