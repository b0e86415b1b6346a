"""Where a person's module runs while it is traced: tensors without numbers, counted, under the device's kernels.

Imports torch.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils import checkpoint

from launcher.measuring.emulation import CudaKernels
from launcher.measuring.live_bytes import LiveBytes
from launcher.measuring.trace_kernels import COPIES_OF_ONEDNN, recurrent_workspace

__all__ = ["DTYPES", "Surroundings", "surroundings"]

DTYPES = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16, "fp8": torch.bfloat16}
"""What is stored beside fp8 products is bf16."""


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a trace runs in."""

    book: LiveBytes
    forward: Callable[[], AbstractContextManager[Any]]
    """Around the forward pass: kernels and autocast. Left before the backward pass, as a training script does."""


class _Fake(FakeTensorMode):  # type: ignore[misc]
    def __deepcopy__(self, _memo: Any) -> _Fake:
        """Copies of a module stay in the same trace (nn.TransformerEncoder copies its layer)."""
        return self


@contextmanager
def surroundings(request: Mapping[str, Any]) -> Iterator[Surroundings]:
    """device_kind, compute and autocast of a request."""
    stack, dtype = ExitStack(), DTYPES[request["compute"]]
    autocast = dtype if request["autocast"] else None

    def kernels() -> AbstractContextManager[Any]:
        _quiet_masks(stack)
        if request["device_kind"] == "cuda":
            return CudaKernels(autocast=autocast)
        return nullcontext() if autocast is None else torch.autocast("cpu", autocast)

    on_cuda = request["device_kind"] == "cuda"
    with stack:
        stack.callback(setattr, torch.nn.Module, "_apply", torch.nn.Module._apply)  # noqa: SLF001
        torch.nn.Module._apply = _apply  # noqa: SLF001
        stack.enter_context(_Fake(allow_non_fake_inputs=True))
        book = stack.enter_context(LiveBytes(copies={} if on_cuda else COPIES_OF_ONEDNN))
        if not on_cuda:
            book.instead["aten.mkldnn_rnn_layer.default"] = recurrent_workspace
        if on_cuda:
            _when_computed_again(stack, kernels)
        yield Surroundings(book=book, forward=kernels)


def _apply(module: Any, change: Callable[[Any], Any], recurse: bool = True) -> Any:
    """`module.to(...)` in place; torch swaps parameters instead, which tensors without numbers refuse.

    Source: pytorch@v2.13.0 torch/nn/modules/module.py:Module._apply.
    """
    if recurse:
        for child in module.children():
            child._apply(change)  # noqa: SLF001
    for parameter in module._parameters.values():  # noqa: SLF001
        if parameter is not None:
            with torch.no_grad():
                parameter.data = change(parameter)
    for name, buffer in module._buffers.items():  # noqa: SLF001
        if buffer is not None:
            module._buffers[name] = change(buffer)  # noqa: SLF001
    return module


def _when_computed_again(stack: ExitStack, kernels: Callable[[], AbstractContextManager[Any]]) -> None:
    """Until the stack ends, what is checkpointed runs under the kernels again in the backward pass.

    The autograd engine runs nodes without the modes that were there in the forward pass; autocast is brought back by
    torch itself. Source: pytorch@v2.13.0 torch/utils/checkpoint.py:checkpoint.
    """

    def under(function: Callable[..., Any]) -> Callable[..., Any]:
        def run(*arguments: Any, **keywords: Any) -> Any:
            outside = not torch.overrides._get_current_function_mode_stack()  # noqa: SLF001
            with kernels() if outside else nullcontext():
                return function(*arguments, **keywords)

        return run

    generator, reentrant = checkpoint._checkpoint_without_reentrant_generator, checkpoint.CheckpointFunction  # noqa: SLF001

    class Reentrant(reentrant):  # type: ignore[misc, valid-type]
        @staticmethod
        def forward(ctx: Any, function: Callable[..., Any], *rest: Any) -> Any:
            return reentrant.forward(ctx, under(function), *rest)

    def without(function: Callable[..., Any], *rest: Any, **keywords: Any) -> Any:
        return generator(under(function), *rest, **keywords)

    for name, old, new in (
        ("_checkpoint_without_reentrant_generator", generator, without),
        ("CheckpointFunction", reentrant, Reentrant),
    ):
        stack.callback(setattr, checkpoint, name, old)
        setattr(checkpoint, name, new)


def _quiet_masks(stack: ExitStack) -> None:
    """Until the stack ends, keeps transformers from making a mask that it makes because it is traced.

    Source: transformers@v5.23.0 src/transformers/masking_utils.py:find_packed_sequence_indices.
    """
    masks = sys.modules.get("transformers.masking_utils")
    if masks is not None:
        stack.callback(setattr, masks, "find_packed_sequence_indices", masks.find_packed_sequence_indices)
        masks.find_packed_sequence_indices = lambda *_arguments, **_keywords: None  # type: ignore[attr-defined]
