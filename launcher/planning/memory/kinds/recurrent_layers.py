"""Layers of RNN, LSTM and GRU: what oneDNN, ATen's own and cuDNN's kernels keep of all time steps.

A CPU runs an LSTM without projection in oneDNN, everything else step by step in ATen; CUDA runs cuDNN.
Source: pytorch@2.13.0 aten/src/ATen/native/RNN.cpp, aten/src/ATen/native/mkldnn/RNN.cpp.
Checked: 24 settings on CPU with saved_tensors_hooks; ATen (8L-1) T B H for LSTM and GRU, (2L-1) T B H for RNN, beside
input and first state. cuDNN's reserve is inferred, see RESERVE.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from launcher.planning.memory.kinds.chain import Operation, Value
from launcher.planning.memory.kinds.operations import width_of
from launcher.planning.memory.network import Network
from launcher.planning.memory.setting import Setting

__all__ = ["RESERVE", "Kernels", "Shape", "kernels_of", "layers_of", "workspace"]

RESERVE = {"lstm": (6, 1), "gru": (7, 1), "rnn": (2, 1)}
"""cuDNN's reserve: (a, b) for (a L - b) units of steps x rows x width x directions numbers.

Source: pytorch/pytorch#2895: 736,000,000 bytes for an LSTM and 864,000,000 for a GRU of 4 layers of 320, 25,000
rows x steps: 23 and 27 units. RNN: a guess. Not measured by us.
"""
_GATES = {"rnn": 1, "lstm": 4, "gru": 3}
_PAGE, _LINE = 4096, 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """Sizes of the recurrent layers."""

    rows: int
    steps: int
    given: int
    hidden: int
    state: int
    """Width of the state that a step hands on: the projection's, or hidden."""
    directions: int
    layers: int

    def width_into(self, layer: int) -> int:
        """Numbers that one step of a layer reads."""
        return self.directions * self.state if layer else self.given


Kernels = Literal["onednn", "aten", "cudnn"]


def kernels_of(network: Network, setting: Setting) -> Kernels:
    """Whose kernels run the layers."""
    if setting.device_kind != "cpu":
        return "cudnn"
    return "onednn" if network.kind == "lstm" and not network.projection_size else "aten"


def layers_of(
    network: Network, setting: Setting, shape: Shape, given: Value, *, kernels: Kernels | None = None
) -> tuple[Operation, ...]:
    """All layers as operations: one each on CPU, with dropout between them in ATen, one for all in cuDNN."""
    kernels = kernels or kernels_of(network, setting)
    if kernels == "cudnn":
        return (_cudnn(network, setting, shape),)
    if kernels == "onednn":
        return tuple(_onednn(network, setting, shape, layer) for layer in range(shape.layers))
    found: list[Operation] = []
    for layer in range(shape.layers):
        if layer and network.dropout:
            dropped = shape.rows * shape.steps * shape.width_into(layer)
            found.append(Operation(elements=dropped, beside=dropped * _result_width(network, setting)))
        # whoever called the module holds its input until it returns
        found.append(_aten(network, setting, shape, layer, held=given.size if layer else 0))
    return tuple(found)


def _result_width(network: Network, setting: Setting) -> int:
    """Bytes of a number that ATen's layers hand on: autocast sums states of LSTM and GRU in fp32."""
    return 4 if setting.formats.autocast and network.kind != "rnn" else width_of(setting)


def _parameters(network: Network, shape: Shape, layer: int) -> tuple[int, ...]:
    """Numbers of the weight and bias tensors of one layer, in both directions.

    Source: pytorch@2.13.0 torch/nn/modules/rnn.py:RNNBase: two biases, and a projection without.
    """
    gates = _GATES[network.kind] * shape.hidden
    projection = (shape.state * shape.hidden,) if network.projection_size else ()
    return (
        gates * shape.width_into(layer),
        gates * shape.state,
        gates,
        gates,
        *projection,
    ) * shape.directions


def _aten(network: Network, setting: Setting, shape: Shape, layer: int, *, held: int) -> Operation:
    """Every step keeps gates, states and what is made of them; states and sums stay in fp32 under autocast."""
    narrow, wide = width_of(setting), 4 if setting.formats.autocast else width_of(setting)
    state, hidden, steps, rows = shape.state, shape.hidden, shape.steps, shape.rows
    if network.kind == "rnn":
        kept = steps * hidden * narrow + state * narrow
    elif network.kind == "gru":
        kept = steps * hidden * (5 * narrow + wide) + steps * state * narrow
    else:
        products = hidden * narrow if network.projection_size else 0
        kept = steps * (hidden * (4 * narrow + 2 * wide) + state * narrow + products)
    parameters = _parameters(network, shape, layer)
    gates, cast = _GATES[network.kind] * hidden, narrow if setting.formats.autocast else 0
    into = gates * shape.width_into(layer) * shape.directions
    matrices = into + shape.directions * state * (gates + (hidden if network.projection_size else 0))
    reads, result = rows * steps * shape.width_into(layer), _result_width(network, setting)
    # the first layer turns its input, for each direction anew; a cast is made for each direction too
    copies = shape.directions if layer == 0 or result != narrow else 1
    return Operation(
        elements=rows * steps * shape.directions * state,
        reads=narrow,
        writes=result,
        keeps_input=layer > 0,
        beside=shape.directions * rows * kept + (copies - (layer > 0)) * reads * narrow,
        casts=cast * matrices,
        casts_always=cast * (matrices - into),
        forward_scratch=held + _unrolled(network, setting, shape),
        parameters=parameters,
    )


def _unrolled(network: Network, setting: Setting, shape: Shape) -> int:
    """Bytes held until ATen has gone through the steps of a layer, beyond its result.

    The gates' products with the input, of all steps of one direction at once; the steps' results where what is kept of
    them is a narrower copy; with two directions the results of both, while they are joined.
    """
    tokens, narrow, result = shape.rows * shape.steps, width_of(setting), _result_width(network, setting)
    gates = tokens * _GATES[network.kind] * shape.hidden * narrow
    steps = shape.directions * tokens * shape.state * result
    return gates + (steps if result != narrow else 0) + (steps if shape.directions == 2 else 0)


def _onednn(network: Network, setting: Setting, shape: Shape, layer: int) -> Operation:
    """A layer keeps its result, first and last states and a workspace; autocast keeps copies of all parameters."""
    width, tokens = width_of(setting), shape.rows * shape.steps
    reads, both = tokens * shape.width_into(layer), shape.directions == 2
    states = 4 * shape.rows * shape.hidden * width
    result = tokens * shape.hidden * width if both else 0
    # the layer before keeps its result unless two of them are joined, or dropout makes a mask and a product
    joined = 1 if layer == 0 or both or network.dropout else 0
    if layer == 0 and setting.formats.autocast:
        joined = shape.directions
    masked = 1 if layer and network.dropout else 0
    parameters = _parameters(network, shape, layer)
    casts = width * sum(parameters) if setting.formats.autocast else 0
    return Operation(
        elements=tokens * shape.directions * shape.hidden,
        reads=width,
        keeps_result=not both,
        beside=shape.directions * (result + states + workspace(shape, layer=layer, width=width))
        + (joined + masked) * reads * width,
        casts=casts,
        casts_always=casts,
        scratch=_scratch(shape, layer=layer, width=width),
        parameters=parameters,
    )


def _scratch(shape: Shape, *, layer: int, width: int) -> int:
    """Bytes that the backward pass of one direction holds: the gradient of its result turned to steps first,
    reordered weights, and gates or, in two bytes, gradients in fp32.
    """
    tokens, reads = shape.rows * shape.steps, shape.width_into(layer)
    matrices = 4 * shape.hidden * (reads + shape.hidden)
    turned = width * tokens * shape.hidden
    if width == 4:
        return turned + 4 * (matrices + tokens * _padded(4 * shape.hidden, width))
    return turned + 2 * tokens * reads + 8 * matrices + 4 * tokens * shape.hidden


def workspace(shape: Shape, *, layer: int, width: int) -> int:
    """Bytes of oneDNN's LSTM workspace for one layer and direction: gates, states, and their gradients in fp32.

    Source: uxlfoundation/oneDNN@05abd96 src/cpu/rnn/rnn_utils.hpp:set_workspace_sizes, rnn_utils.cpp:get_good_ld,
    set_offsets. Checked: 17 shapes, torch 2.13.0 on x86-64 (AVX-512, bf16), to the byte.
    """
    rows, steps, hidden = shape.rows, shape.steps, shape.hidden
    widest = max(hidden, shape.width_into(layer))
    states = 2 * (steps + 1) * rows
    sizes = (
        steps * rows * _padded(4 * hidden, width) * width,
        steps * rows * _padded(hidden, width) * width,
        states * _padded(widest, width) * width,
        states * hidden * width,
        states * _padded(widest, 4) * 4,
        states * _padded(widest, 4) * 4,
        states * hidden * 4,
    )
    return sum(-(-size // _PAGE) * _PAGE for size in sizes)


def _padded(numbers: int, width: int) -> int:
    """Leading dimension: whole cache lines, not a multiple of 256 numbers."""
    line = _LINE // width
    full = -(-numbers // line) * line
    return full + line if full % 256 == 0 else full


def _cudnn(network: Network, setting: Setting, shape: Shape) -> Operation:
    """All layers at once keep input, result, first states and cuDNN's reserve; autocast a flat copy of weights."""
    width, tokens = width_of(setting), shape.rows * shape.steps
    factor, less = RESERVE[network.kind]
    reserve = (factor * shape.layers - less) * tokens * shape.hidden * shape.directions
    state = shape.state + (shape.hidden if network.kind == "lstm" else 0)
    first = shape.layers * shape.directions * shape.rows * state
    result = tokens * shape.directions * shape.state
    parameters = tuple(count for layer in range(shape.layers) for count in _parameters(network, shape, layer))
    return Operation(
        elements=result,
        reads=width,
        beside=width * (tokens * shape.given + result + first + reserve),
        casts=width * sum(parameters) if setting.formats.autocast else 0,
        casts_always=width * sum(parameters) if setting.formats.autocast else 0,
        parameters=parameters,
    )
