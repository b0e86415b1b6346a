"""Operations that fake tensors get wrong, or that a module's construction may look into. Imports torch."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch.utils._python_dispatch import _disable_current_modes

from launcher.measuring.live_bytes import Copies, LiveBytes

__all__ = ["COPIES_OF_ONEDNN", "building", "recurrent_workspace"]

COPIES_OF_ONEDNN: dict[str, Copies] = {
    "aten.convolution_backward.default": lambda arguments, _: arguments[:2],
    "aten.mkldnn_rnn_layer.default": lambda arguments, result: (*arguments[1:3], *4 * [result[0]]),
    "aten.mkldnn_rnn_layer_backward.default": lambda arguments, _: (*arguments[1:3], *4 * [arguments[7]]),
}
"""Kernels of the CPU that bring arguments into oneDNN's layout first: gradient and input, or both weights.

A recurrent layer also works on all its gates: four times its output.
Source: pytorch@v2.13.0 aten/src/ATen/native/mkldnn/{Conv,RNN}.cpp.
Checked: profiler memory events, tests/measuring/test_trace_real.py.
"""

_ROWS = ("aten.linspace.default", "aten.arange.default", "aten.arange.start", "aten.arange.start_step")
_MANY = 512
_LONGEST = 4096
"""Numbers of a row that are worked out for real."""


@contextmanager
def building(book: LiveBytes) -> Iterator[None]:
    """While entered, a module can be built that looks at numbers which do not depend on data.

    Short rows of numbers have their values (rates of stochastic depth are read from them), and truncated normal
    initialisation, which draws until all numbers lie inside, leaves tensors as they are.
    Source: pytorch@v2.13.0 torch/nn/init.py:_no_grad_trunc_normal_.
    """
    drawn = torch.nn.init._no_grad_trunc_normal_
    torch.nn.init._no_grad_trunc_normal_ = lambda tensor, *_rest, **_options: tensor
    book.instead.update(dict.fromkeys(_ROWS, _with_values))
    try:
        yield
    finally:
        torch.nn.init._no_grad_trunc_normal_ = drawn
        for name in _ROWS:
            del book.instead[name]


def recurrent_workspace(result: Any, operation: Callable[..., Any], arguments: Any, keywords: Any) -> Any:
    """The result of oneDNN's recurrent layer with a workspace of its real size; the fake kernel's is empty.

    The layer is run for real on zeros: the size depends on oneDNN's choice of a kernel, and is rounded to pages. Beyond
    512 time steps it grows as from the 256th to the 512th.
    Source: pytorch@v2.13.0 aten/src/ATen/native/mkldnn/RNN.cpp:mkldnn_rnn_layer.
    """
    steps = arguments[0].shape[0]

    def numbers(few: int) -> int:
        shapes = [(few, *arguments[0].shape[1:]), *(getattr(each, "shape", None) for each in arguments[1:])]
        real = [
            torch.zeros(shape, dtype=each.dtype) if isinstance(each, torch.Tensor) else each
            for shape, each in zip(shapes, arguments, strict=True)
        ]
        return int(operation(*real, **keywords)[3].numel())

    with _disable_current_modes():
        most = numbers(min(steps, _MANY))
        if steps > _MANY:
            most += (steps - _MANY) * (most - numbers(_MANY // 2)) // (_MANY // 2)
    return (*result[:3], result[3].new_empty(most))


def _with_values(result: Any, operation: Callable[..., Any], arguments: Any, keywords: Any) -> Any:
    if result.numel() > _LONGEST:
        return result
    with _disable_current_modes():
        real = operation(*arguments, **{**keywords, "device": "cpu"})
    mode = result.fake_mode
    return mode.fake_tensor_converter.from_real_tensor(mode, real, make_constant=True)
