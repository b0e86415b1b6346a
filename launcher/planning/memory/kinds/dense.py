"""Multi-layer perceptrons and bags of embeddings, as plain torch modules.

mlp: `num_layers` hidden layers (1 when absent), each `Linear -> norm -> activation -> dropout` of `hidden_size`
features, then `Linear(hidden_size, outputs)`. Inputs are rows of `input_size` numbers (`hidden_size` when absent).

bag: `EmbeddingBag(vocab_size, hidden_size, mode="mean")` over `sequence_length` tokens with dense gradients, hidden
layers as above (none when `num_layers` is absent), then `Linear(hidden_size, outputs)`.

Outputs are `num_classes` with cross entropy, else `output_size` (1 when absent too) with squared error.
"""

from __future__ import annotations

from dataclasses import replace

from launcher.planning.memory.kinds.assembled import block_of, freeze, head_of, part_of
from launcher.planning.memory.kinds.chain import Operation, Value, chain
from launcher.planning.memory.kinds.operations import (
    activation,
    cross_entropy,
    dropout,
    linear,
    mean_squared_error,
    norm,
    width_of,
)
from launcher.planning.memory.network import Network
from launcher.planning.memory.part import Part
from launcher.planning.memory.setting import Setting

__all__ = ["bag", "mlp", "outputs_of"]

VOCABULARY = 50257
"""Entries where a recipe says nothing: the recipe's default."""
_INDEX = 8


def mlp(network: Network, setting: Setting) -> tuple[Part, ...]:
    """Parts of a multi-layer perceptron."""
    rows = setting.micro_batch_size
    given = Value(
        elements=rows * (network.input_size or network.hidden_size),
        width=_input_width(setting),
        has_gradient=False,
    )
    body, current = _hiddens(network, setting, given, count=max(1, network.num_layers))
    return freeze((*body, _head(network, setting, current)), network)


def bag(network: Network, setting: Setting) -> tuple[Part, ...]:
    """Parts of a bag of embeddings."""
    rows, tokens = setting.micro_batch_size, setting.micro_batch_size * setting.sequence_length
    table = (network.vocab_size or VOCABULARY) * network.hidden_size
    embedding = chain(
        [
            Operation(
                elements=rows * network.hidden_size,
                writes=4 if setting.formats.autocast else width_of(setting),
                beside=_INDEX * (2 * tokens + 3 * rows + 1),
                parameters=(table,),
                scratch=3 * _INDEX * tokens,
            )
        ],
        Value(elements=tokens, width=_INDEX, has_gradient=False),
        gradient=setting.formats.gradient_bytes,
    )
    first = part_of(embedding, name="embeddings", place="first", checkpointable=False)
    body, current = _hiddens(network, setting, embedding.result, count=network.num_layers)
    return freeze((first, *body, _head(network, setting, current)), network)


def outputs_of(network: Network) -> int:
    """Numbers that a model's last layer gives for one row."""
    return network.num_classes or network.output_size or 1


def _input_width(setting: Setting) -> int:
    """A data loader's numbers are cast to the parameters' format, unless autocast does it layer by layer."""
    return 4 if setting.formats.autocast else width_of(setting)


def _hiddens(
    network: Network, setting: Setting, given: Value, *, count: int
) -> tuple[tuple[Part, ...], Value]:
    """`count` hidden layers; the first differs by its input."""
    if not count:
        return (), given
    first, result = _hidden(network, setting, given)
    rest, last = _hidden(network, setting, result)
    return (first, replace(rest, repeat=count - 1))[: min(count, 2)], last


def _hidden(network: Network, setting: Setting, given: Value) -> tuple[Part, Value]:
    rows, width = setting.micro_batch_size, network.hidden_size
    fan_in = given.elements // rows
    normed = norm(setting, network.norm, rows=rows, channels=width) if network.norm != "none" else None
    trace = chain(
        [
            linear(setting, rows=rows, given=fan_in, result=width, bias=network.bias is not False),
            *((normed,) if normed else ()),
            activation(network.activation, elements=rows * width),
            *dropout(setting, elements=rows * width, probability=network.dropout),
        ],
        given,
        gradient=setting.formats.gradient_bytes,
    )
    return block_of(trace, given, name="layer"), trace.result


def _head(network: Network, setting: Setting, given: Value) -> Part:
    rows, outputs = setting.micro_batch_size, outputs_of(network)
    last = linear(
        setting, rows=rows, given=network.hidden_size, result=outputs, bias=network.bias is not False
    )
    score = chain([last], given)
    loss = (
        cross_entropy(setting, rows=rows, classes=outputs)
        if network.num_classes
        else mean_squared_error(setting, elements=rows * outputs)
    )
    whole = chain([last, loss], given, gradient=setting.formats.gradient_bytes)
    return head_of(whole=whole, loss=chain([loss], score.result))
