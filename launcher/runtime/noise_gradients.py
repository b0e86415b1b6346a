"""Where a rank's gradients can be read while they accumulate, and as they are averaged: one reader per reducer."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Protocol

from launcher.runtime.reducers import Reducer

__all__ = ["GradientReader", "reader_of", "square_sum"]


class GradientReader(Protocol):
    """Squares of gradients, as tensors of one number or None where they cannot be told; nothing waits for a device."""

    joint: bool
    """Whether a micro-batch's gradient is averaged over the ranks at once, each rank holding a part of it."""

    def accumulated(self) -> Any:
        """Of what this rank has accumulated so far in the step; of its part of it where `joint`."""

    def watch(self) -> None:
        """Called before the backward that averages: own() will tell what this rank had before that."""

    def own(self) -> Any:
        """Of this rank's whole gradient, before it was averaged."""

    def averaged(self, *, clips: bool) -> Any:
        """Of the averaged gradient, before the optimizer; None where the norm that step() returns is exact.

        clips: whether step() takes a norm anyway.
        """

    def loss_scale(self) -> float:
        """What fp16 scaling has multiplied the gradients by."""


def reader_of(reducer: Reducer) -> GradientReader | None:
    """The reader for a reducer; None where there is none, as with FSDP and ZeRO-3."""
    engine = getattr(reducer, "engine", None)
    if engine is not None:
        from launcher.runtime.noise_deepspeed import engine_reader

        return engine_reader(engine)
    from launcher.runtime.noise_ddp import TorchReader

    if reducer.name == "FSDP" or str(_kind(reducer)).endswith("FSDP"):
        return None
    return TorchReader(reducer.model, accelerator=getattr(reducer, "accelerator", None))  # type: ignore[attr-defined]


def square_sum(gradients: Iterable[Any]) -> Any:
    """Sum of the squares of all numbers in some tensors, a tensor of one double; None without tensors.

    Each tensor's norm is taken in fp32 whatever its format: bf16 would round it to three digits.
    """
    import torch

    tensors = [each.coalesce().values() if each.is_sparse else each for each in gradients if each is not None]
    if not tensors:
        return None
    with torch.no_grad():
        if all(each.dtype == torch.float32 for each in tensors):
            norms = torch._foreach_norm(tensors)  # noqa: SLF001  # as torch's own clip_grad_norm_
        else:
            norms = [torch.linalg.vector_norm(each, dtype=torch.float32) for each in tensors]
        return torch.stack(list(norms)).double().square().sum()


def _kind(reducer: Reducer) -> Any:
    accelerator = getattr(reducer, "accelerator", None)
    return None if accelerator is None else accelerator.distributed_type
