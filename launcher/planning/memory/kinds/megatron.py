"""Megatron's networks: GPT, BERT and T5 layers, experts, multi-latent attention and multi-token prediction."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import NamedTuple

from launcher.planning.memory.kinds.families import FAMILIES
from launcher.planning.memory.kinds.matrices import query_width, shared_width, value_width
from launcher.planning.memory.kinds.megatron_layers import (
    LayerBytes,
    layer_bytes,
    pieces,
    sizes_of,
    source_of,
    value,
)
from launcher.planning.memory.network import Network
from launcher.planning.memory.part import Build, Part, Weights
from launcher.planning.memory.setting import Setting

__all__ = ["megatron", "unless_megatron"]


def unless_megatron(build: Build) -> Build:
    """A kind's function that leaves networks of Megatron's implementations to this module.

    Adapters and frozen parts are taken from fused kernels at large, which keep the same tensors.
    """

    def chosen(network: Network, setting: Setting) -> tuple[Part, ...]:
        if not network.implementation.startswith("megatron"):
            return build(network, setting)
        if network.adapter is not None or network.frozen:
            return build(replace(network, implementation="fused"), setting)
        return megatron(network, setting)

    return chosen


def megatron(network: Network, setting: Setting) -> tuple[Part, ...]:
    """Parts of a network that Megatron-LM builds, its vocabulary padded to 128 rows on every tensor rank.

    Source: NVIDIA/Megatron-LM@950aa435 megatron/core/models/{gpt,bert,T5}/*.py;
    megatron/training/tokenizer/tokenizer.py:_vocab_size_with_padding.
    """
    rows = 128 * setting.layout.tensor
    network = replace(network, vocab_size=-(-network.vocab_size // rows) * rows)
    source = source_of(network)
    parts = (
        _embeddings(network, setting),
        *_layers(network, setting),
        *_predictors(network, setting),
        _head(network, setting),
    )
    return tuple(replace(part, source=source) for part in parts)


def _layers(network: Network, setting: Setting) -> Iterator[Part]:
    if network.kind == "encoder-decoder":
        yield from _stacks(network, setting)
        return
    dense = network.first_dense_layers if network.num_experts else network.num_layers
    if dense:
        found = layer_bytes(network, setting, experts=False, width=network.intermediate_size)
        yield _layer(network, found, name="layer", repeat=dense, experts=False)
    if network.num_layers > dense:
        found = layer_bytes(network, setting, experts=True, width=0)
        yield _layer(network, found, name="moe_layer", repeat=network.num_layers - dense, experts=True)


def _stacks(network: Network, setting: Setting) -> Iterator[Part]:
    """Encoder and decoder; the norm behind the encoder belongs to its last layer, whose output it keeps.

    Source: NVIDIA/Megatron-LM@950aa435 megatron/core/models/T5/{t5_model,t5_spec}.py.
    """
    width, h = network.intermediate_size, network.hidden_size
    found = layer_bytes(network, setting, experts=False, width=width)
    encoder = _layer(
        network, found, name="encoder", repeat=network.num_encoder_layers or network.num_layers, experts=False
    )
    sizes, gpt = sizes_of(network, setting), pieces("gpt")
    yield encoder
    yield Part(
        name="encoder_norm",
        weights=(Weights(count=_norm(network, h)),),
        saved=round(
            value(setting, sizes, gpt["norm"][network.norm]) + value(setting, sizes, gpt["linear_input"])
        ),
        checkpointable=False,
    )
    behind = _behind(setting)
    found = layer_bytes(network, behind, experts=False, width=width, looks_at=setting.sequence_length)
    decoder = _layer(network, found, name="decoder", repeat=network.num_layers, experts=False)
    split, whole = _attention_counts(network)
    cross = (Weights(count=split, split="tensor"), Weights(count=whole + _norm(network, h)))
    yield replace(decoder, weights=(*decoder.weights, *cross))


def _behind(setting: Setting) -> Setting:
    """The setting as the last layers see it: a decoder of an encoder-decoder has tokens of its own."""
    if not setting.target_length:
        return setting
    return replace(setting, sequence_length=setting.target_length, target_length=None)


def _layer(network: Network, found: LayerBytes, *, name: str, repeat: int, experts: bool) -> Part:
    return Part(
        name=name,
        repeat=repeat,
        weights=_weights(network, experts=experts),
        saved=found.saved,
        core=found.recomputed,
        boundary=found.boundary,
        backward=found.backward,
        buffer=found.buffer,
    )


def _embeddings(network: Network, setting: Setting) -> Part:
    h, gpt, sizes = network.hidden_size, pieces("gpt"), sizes_of(network, setting)
    rows = network.max_positions if network.position == "learned" else 0
    types = 2 if network.kind == "encoder" else 0
    saved = value(setting, sizes, gpt["dropout"]) if network.dropout else 0.0
    return Part(
        name="embeddings",
        place="first",
        weights=(
            Weights(count=network.vocab_size * h, split="tensor", largest=network.vocab_size * h),
            Weights(count=(rows + types) * h, largest=rows * h),
        ),
        saved=round(saved + _inputs(setting)),
        checkpointable=False,
    )


def _inputs(setting: Setting) -> int:
    """Bytes of tokens, labels, positions and loss weights, and of the causal mask that the data loader makes.

    Context-parallel ranks keep their slice of each, of the mask the rows of their tokens.
    Source: NVIDIA/Megatron-LM@950aa435 megatron/training/utils.py:get_batch_on_this_tp_rank,
    megatron/core/utils.py:get_batch_on_this_cp_rank.
    """
    batch, length = setting.micro_batch_size, setting.sequence_length
    return (batch * length * 28 + batch * length * length) // setting.layout.context


def _head(network: Network, setting: Setting) -> Part:
    setting = _behind(setting)
    h, gpt, sizes = network.hidden_size, pieces("gpt"), sizes_of(network, setting)
    losses = 1 + network.predict_layers
    saved = value(setting, sizes, gpt["norm"][network.norm]) + value(setting, sizes, gpt["linear_input"])
    weights = [
        Weights(
            count=network.vocab_size * h,
            split="tensor",
            largest=network.vocab_size * h,
            tied=network.tie_word_embeddings,
        ),
        Weights(count=_norm(network, h)),
    ]
    if network.kind == "encoder":
        saved += value(setting, sizes, pieces("bert")["transform"])
        weights += [
            Weights(count=h * h + 3 * h, largest=h * h),
            Weights(count=network.vocab_size, split="tensor"),
        ]
        if network.num_classes:
            weights.append(Weights(count=h * h + h + network.num_classes * (h + 1), largest=h * h))
    elif network.kind == "encoder-decoder":
        weights.append(Weights(count=network.vocab_size, split="tensor"))
    logits, loss = _losses(setting, sizes)
    half = value(setting, sizes, gpt["loss"])
    # the weights' gradient is made beside the 16-bit gradient of the logits, when their fp32 copy is gone
    after = 2 * network.vocab_size * h / setting.layout.tensor + value(setting, sizes, gpt["input"]) + half
    return Part(
        name="head",
        place="last",
        weights=tuple(weights),
        saved=round(saved + losses * logits),
        logits=round(losses * logits),
        loss=round(loss),
        backward=max(0, round(after - logits)),
        buffer=_gather_buffer(setting, sizes),
        checkpointable=False,
    )


def _losses(setting: Setting, sizes: Mapping[str, float]) -> tuple[float, float]:
    """Bytes that one cross entropy keeps of the logits, and those beside them while it is computed."""
    gpt = pieces("gpt")
    if setting.logits == "fused":
        return value(setting, sizes, gpt["fused_logits"]), 0.0
    logits, half = value(setting, sizes, gpt["logits"]), value(setting, sizes, gpt["loss"])
    return logits, half + setting.compiled_loss * logits


def _gather_buffer(setting: Setting, sizes: dict[str, float]) -> int:
    if not setting.layout.sequence_parallel or setting.layout.tensor == 1:
        return 0
    return round(2 * sizes["t"] * sizes["h"])


def _predictors(network: Network, setting: Setting) -> Iterator[Part]:
    """Layers of multi-token prediction: two norms, a projection of both side by side, a layer, a norm, own logits.

    Source: NVIDIA/Megatron-LM@950aa435 megatron/core/transformer/multi_token_prediction.py.
    """
    if not network.predict_layers:
        return
    h, sizes = network.hidden_size, sizes_of(network, setting)
    gpt, experts = pieces("gpt"), bool(network.num_experts)
    found = layer_bytes(network, setting, experts=experts, width=network.intermediate_size)
    norm = value(setting, sizes, gpt["norm"][network.norm])
    more = 3 * norm + value(setting, sizes, pieces("predict")["joined"])
    more += 2 * value(setting, sizes, gpt["linear_input"])
    layer = _layer(network, found, name="predict_layer", repeat=network.predict_layers, experts=experts)
    extra = [
        Weights(count=2 * h * h, split="tensor", largest=2 * h * h),
        Weights(count=3 * _norm(network, h)),
    ]
    if setting.layout.pipeline > 1:
        # the last stage looks words up again
        extra.append(Weights(count=network.vocab_size * h, split="tensor", tied=True))
    yield replace(
        layer,
        place="last",
        saved=layer.saved + round(more),
        weights=(*layer.weights, *extra),
        checkpointable=False,
    )


def _weights(network: Network, *, experts: bool) -> tuple[Weights, ...]:
    h = network.hidden_size
    split, whole = _attention_counts(network)
    whole += 2 * _norm(network, h)
    if not experts:
        width, into = network.intermediate_size, 2 if network.gated_mlp else 1
        split += (into + 1) * h * width
        if _biases(network).mlp:
            split, whole = split + into * width, whole + h
        return (Weights(count=split, split="tensor", largest=h * width), Weights(count=whole))
    into = 2 if network.gated_mlp else 1
    each = (into + 1) * h * network.moe_intermediate_size
    whole += h * network.num_experts
    split += (into + 1) * h * shared_width(network)
    return (
        Weights(count=split, split="tensor", largest=h * query_width(network)),
        Weights(count=whole, largest=h * network.num_experts),
        Weights(
            count=each * network.num_experts, split="expert", largest=into * h * network.moe_intermediate_size
        ),
    )


def _attention_counts(network: Network) -> tuple[int, int]:
    """Parameters of one attention layer: those that tensor ranks share, and those that each has."""
    h, query = network.hidden_size, query_width(network)
    if network.kv_latent_dim:
        y, z, heads = network.q_latent_dim, network.kv_latent_dim, network.num_attention_heads
        split = (
            (y or h) * query
            + z * (heads * network.head_dim + value_width(network))
            + value_width(network) * h
        )
        return split, h * y + h * (z + network.rotary_dim) + y + z
    keys = (network.num_key_value_heads or network.num_attention_heads) * network.head_dim
    split, whole = h * (query + 2 * keys) + query * h, 0
    biases = _biases(network)
    split, whole = split + biases.query * (query + 2 * keys), whole + biases.output * h
    if network.query_norm:
        whole += 2 * _norm(network, network.head_dim)
    return split, whole


class _Biases(NamedTuple):
    query: bool
    output: bool
    mlp: bool


def _biases(network: Network) -> _Biases:
    """Which linear layers have biases: as written, else as the named family has them, else Megatron's own: all."""
    family = FAMILIES.get(network.family or "") if network.bias is None else None
    if family is None:
        every = network.bias is not False
        return _Biases(every, every, every)
    return _Biases(family.query_bias, family.output_bias, family.mlp_bias)


def _norm(network: Network, width: int) -> int:
    return width if network.norm == "rmsnorm" else 2 * width
