"""Recurrent networks as plain torch modules: embedding or features, `nn.RNN`, `nn.LSTM` or `nn.GRU`, a linear head.

Input: `vocab_size` tokens through an embedding of `hidden_size` numbers, or, where `input_size` is written, as many
features at every time step. `num_layers` layers (1 when absent) of `hidden_size`, `batch_first`, both ways where
`bidirectional`; `dropout` between layers; `projection_size` of an LSTM. A token model predicts `output_size`
(`vocab_size` when absent) classes at every step; with features it is `output_size` numbers (1) with squared error; with
`num_classes` it is one label for each sequence, from the last step. `tie_word_embeddings` ties head and embedding
where their shapes agree. `truncate_steps` ends every graph after so many steps; a carried state takes the place of the
zeros that torch would make, so `carry_state` changes no byte.
"""

from __future__ import annotations

from dataclasses import replace

from launcher.planning.memory.kinds.assembled import block_of, freeze, head_of, part_of
from launcher.planning.memory.kinds.chain import Operation, Value, chain
from launcher.planning.memory.kinds.operations import (
    cross_entropy,
    linear,
    linear_cross_entropy,
    mean_squared_error,
    width_of,
)
from launcher.planning.memory.kinds.recurrent_layers import Shape, kernels_of, layers_of
from launcher.planning.memory.network import Network
from launcher.planning.memory.part import Part, Weights
from launcher.planning.memory.setting import Setting

__all__ = ["recurrent"]

_INDEX = 8


def recurrent(network: Network, setting: Setting) -> tuple[Part, ...]:
    """Parts of a recurrent network."""
    if network.kind != "lstm":
        network = replace(network, projection_size=0)
    shape = _shape(network, setting)
    embeddings, current = _input(network, setting, shape)
    trace = chain(
        layers_of(network, setting, shape, current), current, gradient=setting.formats.gradient_bytes
    )
    body = block_of(trace, current, name=network.kind)
    if kernels_of(network, setting) == "cudnn":
        # nobody documents the reserve: a tenth more may be needed
        inferred = f"{body.source}; cuDNN's reserve inferred from pytorch/pytorch#2895"
        body = replace(body, source=inferred, workspace=body.saved // 10)
    return freeze((*embeddings, body, _head(network, setting, shape, trace.result)), network)


def _shape(network: Network, setting: Setting) -> Shape:
    return Shape(
        rows=setting.micro_batch_size,
        steps=min(setting.sequence_length, network.truncate_steps or setting.sequence_length),
        given=network.input_size or network.hidden_size,
        hidden=network.hidden_size,
        state=network.projection_size or network.hidden_size,
        directions=2 if network.bidirectional else 1,
        layers=max(1, network.num_layers),
    )


def _input(network: Network, setting: Setting, shape: Shape) -> tuple[tuple[Part, ...], Value]:
    tokens = shape.rows * shape.steps
    if network.input_size:
        width = 4 if setting.formats.autocast else width_of(setting)
        return (), Value(elements=tokens * shape.given, width=width, has_gradient=False)
    table = network.vocab_size * shape.given
    lookup = Operation(
        elements=tokens * shape.given,
        writes=4 if setting.formats.autocast else width_of(setting),
        beside=_INDEX * tokens,
        parameters=(table,),
        scratch=_sum_of_gradients(setting, table) if _tied(network, shape) else 0,
    )
    ids = Value(elements=tokens, width=_INDEX, has_gradient=False)
    trace = chain([lookup], ids, gradient=setting.formats.gradient_bytes)
    return (part_of(trace, name="embeddings", place="first", checkpointable=False),), trace.result


def _sum_of_gradients(setting: Setting, table: int) -> int:
    """Bytes of a third tensor: a tied table's gradient is added to the head's out of place, since that is a view.

    Under autocast the head's is a copy of its own and takes the sum. Source: pytorch@2.13.0
    torch/csrc/autograd/input_buffer.cpp:can_accumulate_inplace. Checked: profiler memory events on CPU.
    """
    return 0 if setting.formats.autocast else setting.formats.gradient_bytes * table


def _head(network: Network, setting: Setting, shape: Shape, given: Value) -> Part:
    width = shape.directions * shape.state
    if network.num_classes:
        return _label(network, setting, shape, given)
    rows = shape.rows * shape.steps
    outputs = network.output_size or (1 if network.input_size else network.vocab_size)
    # the head copies the steps into the order of sequences
    copied, tied = given._replace(kept=False), _tied(network, shape)
    if setting.logits != "full" and not network.input_size:
        both = linear_cross_entropy(setting, rows=rows, given=width, classes=outputs)
        return _scored(setting, [], both, copied, tied=tied)
    score = linear(setting, rows=rows, given=width, result=outputs)
    loss = (
        mean_squared_error(setting, elements=rows * outputs)
        if network.input_size
        else cross_entropy(setting, rows=rows, classes=outputs)
    )
    return _scored(setting, [score], loss, copied, tied=tied)


def _tied(network: Network, shape: Shape) -> bool:
    return (
        network.tie_word_embeddings
        and not (network.input_size or network.num_classes)
        and (network.output_size or network.vocab_size) == network.vocab_size
        and shape.directions * shape.state == shape.given
    )


def _label(network: Network, setting: Setting, shape: Shape, given: Value) -> Part:
    """One label from the last step; the view of that step keeps the whole result of the layers alive."""
    rows, width = shape.rows, shape.directions * shape.state
    whole = given.width == width_of(setting)
    last = Operation(
        elements=rows * width,
        is_view=whole,
        keeps_input=whole,
        scratch=given.size if whole else 0,
    )
    score = linear(setting, rows=rows, given=width, result=network.num_classes)
    loss = cross_entropy(setting, rows=rows, classes=network.num_classes)
    return _scored(setting, [last, score], loss, given, tied=False)


def _scored(setting: Setting, score: list[Operation], loss: Operation, given: Value, *, tied: bool) -> Part:
    whole = chain([*score, loss], given, gradient=setting.formats.gradient_bytes)
    head = head_of(whole=whole, loss=chain([loss], chain(score, given).result))
    if not tied:
        return head
    weight, bias = whole.parameters
    weights = (Weights(count=weight, largest=weight, tied=True), Weights(count=bias, largest=bias))
    return part_of(
        whole,
        name="head",
        place="last",
        weights=weights,
        loss=head.loss,
        logits=head.logits,
        checkpointable=False,
    )
