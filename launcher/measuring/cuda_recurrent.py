"""nn.RNN, nn.LSTM and nn.GRU as cuDNN runs them: one operation for all layers, which keeps a reserve. Imports torch."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch

from launcher.planning.memory.kinds.recurrent_layers import RESERVE

__all__ = ["RECURRENT"]

_GATES = {"lstm": 4, "gru": 3, "rnn": 1}


def _run(kind: str, *arguments: Any) -> Any:
    """Output and last states, as torch's own functions return them; sequences may be packed."""
    packed = isinstance(arguments[1], torch.Tensor) and not arguments[1].is_floating_point()
    data, states, weights, _, layers, _, _, bidirectional = (
        arguments[0],
        *(arguments[2:9] if packed else arguments[1:8]),
    )
    states = (states,) if isinstance(states, torch.Tensor) else tuple(states)
    hidden = weights[0].shape[0] // _GATES[kind]
    factor, less = RESERVE[kind]
    rows = data.numel() // data.shape[-1]
    directions = 2 if bidirectional else 1
    reserve = (factor * layers - less) * rows * hidden * directions
    width = states[0].shape[-1] * directions
    return _CudnnRnn.apply(data, width, reserve, len(states), *states, *weights)


class _CudnnRnn(torch.autograd.Function):  # type: ignore[misc]
    """Keeps input, output, first states and the reserve; weights are parameters or autocast's copies of them.

    Source: pytorch@v2.13.0 aten/src/ATen/native/cudnn/RNN.cpp:_cudnn_rnn, tools/autograd/derivatives.yaml:_cudnn_rnn;
    size of the reserve: launcher/planning/memory/kinds/recurrent_layers.py:RESERVE.
    """

    @staticmethod
    def forward(ctx: Any, data: Any, width: int, reserve: int, count: int, *rest: Any) -> Any:
        output = data.new_zeros(*data.shape[:-1], width)
        kept = data.new_empty(reserve)
        last = tuple(torch.zeros_like(each) for each in rest[:count])
        ctx.save_for_backward(data, output, kept, *rest)
        return (output, *last)

    @staticmethod
    def backward(ctx: Any, *_: Any) -> tuple[Any, ...]:
        data, _output, _reserve, *rest = ctx.saved_tensors
        return (torch.zeros_like(data), None, None, None, *(torch.zeros_like(each) for each in rest))


RECURRENT: dict[Any, Callable[..., Any]] = {
    torch.lstm: partial(_run, "lstm"),
    torch.gru: partial(_run, "gru"),
    torch.rnn_tanh: partial(_run, "rnn"),
    torch.rnn_relu: partial(_run, "rnn"),
}
"""torch's functions to what runs in their place."""
