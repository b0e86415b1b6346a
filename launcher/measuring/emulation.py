"""CUDA kernels' autograd on CPU tensors: what they save for the backward pass, without a CUDA device.

`CudaKernels` is entered around a forward pass of real or fake CPU tensors. Operations whose CUDA kernel saves other
tensors than the CPU kernel are replaced by functions that save what CUDA's saves and allocate what its backward
allocates; results are right in shape and dtype, not in value. Imports torch.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import TYPE_CHECKING, Any

import torch
from torch.nn import functional
from torch.overrides import TorchFunctionMode

from launcher.measuring.autocast import Autocast
from launcher.measuring.cuda_attention import attend
from launcher.measuring.cuda_recurrent import RECURRENT

if TYPE_CHECKING:
    from typing_extensions import Self

__all__ = ["CudaKernels"]


class CudaKernels(TorchFunctionMode):  # type: ignore[misc]
    """Dispatches to CUDA's saved tensors; `autocast` adds torch.autocast("cuda") with that compute format.

    torch.autocast("cuda") switches itself off where there is no CUDA device, hence the emulation.
    """

    def __init__(self, *, autocast: Any = None) -> None:
        super().__init__()
        self._autocast = None if autocast is None else Autocast(autocast)
        self._depth = 0

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        kwargs = kwargs or {}
        if self._autocast is not None:
            args, kwargs = self._autocast.cast(func, args, kwargs)
        if func is functional.multi_head_attention_forward:
            with self, _written_out():
                return func(*args, **kwargs)
        replaced = _KERNELS.get(func)
        return func(*args, **kwargs) if replaced is None else replaced(*args, **kwargs)

    def __enter__(self) -> Self:
        self._depth += 1
        super().__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._depth -= 1
        if self._autocast is not None and self._depth == 0:
            self._autocast.forget()
        super().__exit__(kind, value, trace)


@contextmanager
def _written_out() -> Iterator[None]:
    """Lets a function of torch.nn.functional run its own lines although a mode is on, so that the mode sees them."""
    module: Any = functional
    original = module.has_torch_function
    module.has_torch_function = lambda _: False
    try:
        yield
    finally:
        module.has_torch_function = original


def _dropout(input: Any, p: float = 0.5, training: bool = True, inplace: bool = False) -> Any:  # noqa: A002
    """CUDA's dropout saves a mask of one byte; the CPU's saves scaled noise in the input's format.

    Source: pytorch@v2.13.0 aten/src/ATen/native/Dropout.cpp:is_fused_kernel_acceptable.
    """
    if not training or p == 0:
        return input
    if not 0 < p < 1:
        return functional.dropout(input, p, training, inplace)
    return torch.native_dropout(input, p, training)[0]


class _LayerNorm(torch.autograd.Function):  # type: ignore[misc]
    """CUDA keeps mean and reciprocal deviation in fp32; the CPU keeps them in the parameters' format.

    Source: pytorch@v2.13.0 aten/src/ATen/native/cuda/layer_norm_kernel.cu:layer_norm_cuda (acc_type).
    """

    @staticmethod
    def forward(ctx: Any, x: Any, weight: Any, bias: Any, dims: int) -> Any:
        rows = x.shape[: x.dim() - dims]
        mean = x.new_empty(rows, dtype=torch.float32)
        ctx.save_for_backward(x, weight, bias, mean, torch.empty_like(mean))
        return torch.empty_like(x, memory_format=torch.contiguous_format).zero_()

    @staticmethod
    def backward(ctx: Any, gradient: Any) -> tuple[Any, ...]:  # noqa: ARG004
        x, weight, bias, *_ = ctx.saved_tensors
        grads = [None if each is None else torch.zeros_like(each) for each in (x, weight, bias)]
        return (*grads, None)


class _RmsNorm(torch.autograd.Function):  # type: ignore[misc]
    """CUDA's fused kernel keeps its input and one fp32 number a row.

    Source: pytorch@v2.13.0 aten/src/ATen/native/cuda/layer_norm_kernel.cu:_fused_rms_norm_cuda.
    """

    @staticmethod
    def forward(ctx: Any, x: Any, weight: Any, dims: int) -> Any:
        ctx.save_for_backward(x, weight, x.new_empty(x.shape[: x.dim() - dims], dtype=torch.float32))
        return torch.empty_like(x).zero_()

    @staticmethod
    def backward(ctx: Any, gradient: Any) -> tuple[Any, ...]:  # noqa: ARG004
        x, weight, _ = ctx.saved_tensors
        return torch.zeros_like(x), None if weight is None else torch.zeros_like(weight), None


def _layer_norm(
    input: Any,  # noqa: A002
    normalized_shape: Any,
    weight: Any = None,
    bias: Any = None,
    eps: float = 1e-5,  # noqa: ARG001
    *_: Any,
) -> Any:
    return _LayerNorm.apply(input, weight, bias, len(normalized_shape))


def _rms_norm(
    input: Any,  # noqa: A002
    normalized_shape: Any,
    weight: Any = None,
    eps: float | None = None,  # noqa: ARG001
) -> Any:
    return _RmsNorm.apply(input, weight, len(normalized_shape))


_KERNELS: dict[Any, Callable[..., Any]] = {
    functional.dropout: _dropout,
    torch.dropout: _dropout,
    functional.layer_norm: _layer_norm,
    torch.layer_norm: _layer_norm,
    functional.rms_norm: _rms_norm,
    torch.rms_norm: _rms_norm,
    functional.scaled_dot_product_attention: attend,
    **RECURRENT,
}
