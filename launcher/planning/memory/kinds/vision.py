"""Vision transformers: torchvision's with `nn.MultiheadAttention`, or Hugging Face's by its ledger.

`image_size` pixels on a side (224 when absent), patches of `patch_size` (16), a class token before them, learned
positions, `num_layers` layers of LayerNorm, attention, LayerNorm and feed-forward with `intermediate_size`
(4 x hidden_size) and `dropout`, a last LayerNorm and a linear classifier of `num_classes` (1000) on the class token.
Source: Dosovitskiy et al. 2020, arXiv:2010.11929; torchvision@0.26 torchvision/models/vision_transformer.py.
Checked: 86,567,656 parameters for ViT-B/16, 304,326,632 for ViT-L/16.
"""

from __future__ import annotations

from dataclasses import replace

from launcher.planning.memory.kinds.assembled import block_of, freeze, head_of, part_of
from launcher.planning.memory.kinds.chain import Operation, Trace, Value, chain, joined, residual
from launcher.planning.memory.kinds.operations import (
    activation,
    conv,
    cross_entropy,
    dropout,
    linear,
    norm,
    width_of,
)
from launcher.planning.memory.kinds.vision_ledger import measured_parts
from launcher.planning.memory.network import Network
from launcher.planning.memory.part import Part
from launcher.planning.memory.setting import Setting

__all__ = ["tokens_of", "vit"]

_COLOURS, _PATCH, _SIZE, _CLASSES, _HEAD = 3, 16, 224, 1000, 64


def vit(network: Network, setting: Setting) -> tuple[Part, ...]:
    """Parts of a vision transformer."""
    sized = _sized(network)
    gradient = setting.formats.gradient_bytes
    embeddings = chain(_embedding(sized, setting), _images(sized, setting), gradient=gradient)
    layer = _layer(sized, setting, embeddings.result)
    body = block_of(layer, embeddings.result, name="layer", repeat=sized.num_layers)
    parts: tuple[Part, ...] = (
        part_of(embeddings, name="embeddings", place="first", checkpointable=False),
        replace(body, core=_core(sized, setting).beside),
        _head(sized, setting, layer.result),
    )
    if sized.implementation == "transformers":
        parts = measured_parts(parts, sized, setting, tokens=tokens_of(sized))
    return freeze(parts, network)


def _sized(network: Network) -> Network:
    """The network with what a recipe may leave out."""
    heads = network.num_attention_heads or max(1, network.hidden_size // _HEAD)
    return replace(
        network,
        num_layers=network.num_layers or max(1, network.hidden_size // _HEAD),
        num_attention_heads=heads,
        num_key_value_heads=heads,
        head_dim=network.head_dim or network.hidden_size // heads,
        intermediate_size=network.intermediate_size or 4 * network.hidden_size,
        image_size=network.image_size or _SIZE,
        patch_size=network.patch_size or _PATCH,
        num_classes=network.num_classes or _CLASSES,
    )


def tokens_of(network: Network) -> int:
    """Patches of an image and the class token."""
    return (network.image_size // network.patch_size) ** 2 + 1


def _rows(network: Network, setting: Setting) -> int:
    return setting.micro_batch_size * tokens_of(network)


def _images(network: Network, setting: Setting) -> Value:
    return Value(
        elements=setting.micro_batch_size * _COLOURS * network.image_size * network.image_size,
        width=_stream_width(setting),
        has_gradient=False,
    )


def _stream_width(setting: Setting) -> int:
    """Bytes of a number of the residual stream: under autocast in the parameters' fp32."""
    return 4 if setting.formats.autocast else width_of(setting)


def _embedding(network: Network, setting: Setting) -> tuple[Operation, ...]:
    """Patches by convolution, the class token before them, and positions."""
    hidden, patch = network.hidden_size, network.patch_size
    rows, width = _rows(network, setting), _stream_width(setting)
    return (
        conv(
            setting,
            images=setting.micro_batch_size,
            given=_COLOURS,
            result=hidden,
            kernel=patch,
            size=network.image_size // patch,
            stride=patch,
            bias=True,
        ),
        Operation(elements=rows * hidden, writes=width, parameters=(hidden,)),
        Operation(elements=rows * hidden, parameters=(tokens_of(network) * hidden,)),
        *dropout(setting, elements=rows * hidden, probability=network.dropout, width=width),
    )


def _layer(network: Network, setting: Setting, given: Value) -> Trace:
    rows, hidden = _rows(network, setting), network.hidden_size
    inner = network.intermediate_size
    gradient, drop = setting.formats.gradient_bytes, network.dropout
    attention = residual(
        [
            norm(setting, "layernorm", rows=rows, channels=hidden),
            *_attention(network, setting),
            *dropout(setting, elements=rows * hidden, probability=drop),
        ],
        given,
        gradient=gradient,
    )
    feed_forward = residual(
        [
            norm(setting, "layernorm", rows=rows, channels=hidden),
            linear(setting, rows=rows, given=hidden, result=inner),
            activation(network.activation, elements=rows * inner),
            *dropout(setting, elements=rows * inner, probability=drop),
            linear(setting, rows=rows, given=inner, result=hidden),
            *dropout(setting, elements=rows * hidden, probability=drop),
        ],
        attention.result,
        gradient=gradient,
    )
    return joined(attention, feed_forward, gradient=gradient)


def _attention(network: Network, setting: Setting) -> tuple[Operation, ...]:
    """`nn.MultiheadAttention`: one matrix for query, key and value, which are copied apart, SDPA, the way out."""
    rows, hidden = _rows(network, setting), network.hidden_size
    return (
        linear(setting, rows=rows, given=hidden, result=3 * hidden),
        Operation(elements=3 * rows * hidden),
        _core(network, setting),
        linear(setting, rows=rows, given=hidden, result=hidden),
    )


def _core(network: Network, setting: Setting) -> Operation:
    """Attention itself; CPU goes through scores in fp32 where there is dropout, `eager` always keeps scores."""
    rows, width = _rows(network, setting), width_of(setting)
    result = rows * network.hidden_size
    heads = network.num_attention_heads
    scores = rows * heads * tokens_of(network)
    if setting.attention == "eager":
        # scaled query, softmax, which CUDA's autocast makes in fp32, mask, and what goes into the last product
        cuda = setting.device_kind != "cpu"
        soft = 4 if cuda and setting.formats.autocast else width
        mask = (1 if cuda else width) if network.dropout else 0
        copied = width if soft != width or network.dropout else 0
        kept = result * width + scores * (soft + mask + copied)
        return Operation(elements=result, keeps_input=True, beside=kept, scratch=scores * width)
    if network.dropout and setting.device_kind == "cpu":
        # scaled query and key, and value where it is widened; softmax, mask, and their product
        wide = 3 if width < 4 else 2
        return Operation(
            elements=result,
            keeps_input=width == 4,
            beside=4 * (wide * result + 3 * scores),
            scratch=4 * scores,
        )
    # flash attention lays its result out as its query, the memory-efficient kernel of CUDA's fp32 by images: a copy
    apart = setting.device_kind != "cpu" and width == 4
    return Operation(
        elements=result,
        keeps_input=True,
        keeps_result=not apart,
        beside=4 * rows * heads + (width * result if apart else 0),
    )


def _head(network: Network, setting: Setting, given: Value) -> Part:
    """The last norm's result is kept whole by the view of the class token, unless autocast casts that view."""
    rows, hidden, images = _rows(network, setting), network.hidden_size, setting.micro_batch_size
    classes, whole = network.num_classes, given.width == width_of(setting)
    score = [
        norm(setting, "layernorm", rows=rows, channels=hidden),
        Operation(
            elements=images * hidden, keeps_input=whole, is_view=whole, scratch=given.size if whole else 0
        ),
        linear(setting, rows=images, given=hidden, result=classes),
    ]
    loss = cross_entropy(setting, rows=images, classes=classes)
    whole_trace = chain([*score, loss], given, gradient=setting.formats.gradient_bytes)
    return head_of(whole=whole_trace, loss=chain([loss], chain(score, given).result))
