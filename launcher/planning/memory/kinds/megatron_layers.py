"""Bytes that one Megatron layer keeps and works with, put together from the pieces of its ledgers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from launcher.catalog.ledgers import read_ledger
from launcher.catalog.overheads import EXPERT_LOAD
from launcher.planning.memory.kinds.matrices import query_width, shared_width, value_width
from launcher.planning.memory.network import Network
from launcher.planning.memory.polynomial import Polynomial, evaluate
from launcher.planning.memory.setting import Setting

__all__ = ["LayerBytes", "layer_bytes", "pieces", "sizes_of", "source_of", "value"]


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerBytes:
    """One layer of one micro-batch on one rank, in bytes."""

    saved: int
    recomputed: int
    """Share of saved that the setting's recomputed modules give up."""
    boundary: int
    backward: int
    buffer: int


def layer_bytes(
    network: Network, setting: Setting, *, experts: bool, width: int, looks_at: int = 0
) -> LayerBytes:
    """Bytes of a layer with experts or with one feed-forward layer of `width`.

    `looks_at`: tokens of the encoder's output that a decoder's layer also looks at.
    """
    sizes = {**sizes_of(network, setting), "f": width}
    attention = dict(_attention(network, setting))
    mlp = dict(_experts(network, setting) if experts else _dense(network, sizes, setting))
    found = {**{f"attention.{name}": size for name, size in attention.items()}, **mlp}
    if looks_at:
        found |= {f"cross.{name}": size for name, size in _cross(network, setting, keys=looks_at)}
    given_up = _given_up(found, setting)
    return LayerBytes(
        saved=round(sum(found.values())),
        recomputed=round(given_up),
        boundary=round(value(setting, sizes, pieces("gpt")["input"])),
        backward=round(max(_backward(network, setting, sizes, experts=experts))),
        buffer=round(_buffer(network, setting, sizes, experts=experts)),
    )


def pieces(family: str) -> Mapping[str, Any]:
    """Pieces of one of Megatron's ledgers."""
    found = read_ledger("megatron", family)["pieces"]
    assert isinstance(found, dict)
    return found


def source_of(network: Network) -> str:
    """Which ledgers a network's bytes come from."""
    names = ["gpt"] + ["mla"] * bool(network.kv_latent_dim) + ["moe"] * bool(network.num_experts)
    versions = read_ledger("megatron", "gpt")["versions"]
    text = ", ".join(f"{name} {version}" for name, version in versions.items())
    return f"{network.implementation}/{'+'.join(names)} ({text})"


def value(setting: Setting, sizes: Mapping[str, float], polynomial: Polynomial) -> float:
    """A polynomial's bytes on one rank."""
    layout = setting.layout
    return evaluate(polynomial, sizes, tensor=layout.tensor, sequence_parallel=layout.sequence_parallel)


def sizes_of(network: Network, setting: Setting) -> dict[str, float]:
    """Sizes by symbol, of one micro-batch on one rank."""
    layout, length = setting.layout, setting.sequence_length
    tokens = setting.micro_batch_size * length / layout.context
    expert_tensor = layout.expert_tensor or layout.tensor
    keys = (network.num_key_value_heads or network.num_attention_heads) * network.head_dim
    return {
        "b": setting.micro_batch_size,
        "s": length,
        "t": tokens,
        "h": network.hidden_size,
        "a": network.num_attention_heads,
        "q": query_width(network),
        "kv": keys,
        "v": value_width(network),
        "f": network.intermediate_size,
        "V": network.vocab_size,
        "E": network.num_experts,
        "k": network.num_experts_per_token,
        "y": network.q_latent_dim,
        "z": network.kv_latent_dim,
        "x": network.rotary_dim,
        # every tensor rank brings its share of tokens to experts; those that divide an expert see the same tokens
        "m": tokens * network.num_experts_per_token * _load(network, setting) * expert_tensor / layout.tensor,
        "g": network.moe_intermediate_size / expert_tensor,
    }


def _load(network: Network, setting: Setting) -> float:
    """Tokens of the fullest rank's experts over an even share."""
    if network.capacity_factor is not None:
        return network.capacity_factor
    return EXPERT_LOAD.expected if setting.layout.expert > 1 else 1.0


def _attention(network: Network, setting: Setting) -> Iterator[tuple[str, float]]:
    sizes, gpt = sizes_of(network, setting), pieces("gpt")
    yield "norm", value(setting, sizes, gpt["norm"][network.norm])
    yield "normed", value(setting, sizes, gpt["linear_input"])
    if network.kv_latent_dim:
        mla = pieces("mla")
        yield "latents", value(setting, sizes, mla["latents"])
        yield "up", value(setting, sizes, mla["up_input"]) + value(setting, sizes, mla["query_key_value"])
        yield "context", value(setting, sizes, mla["context"])
    else:
        yield "query_key_value", value(setting, sizes, gpt["query_key_value"])
        if network.query_norm:
            yield "query_norm", value(setting, sizes, gpt["query_norm"])
        yield "context", value(setting, sizes, gpt["context"])
    yield (
        "core",
        _core(network, setting, sizes, padded=network.kind == "encoder" or _encodes(network, setting)),
    )
    yield "dropout", value(setting, sizes, gpt["dropout"]) if network.dropout else 0.0


def _encodes(network: Network, setting: Setting) -> bool:
    """Whether this is the encoder's half of an encoder-decoder; the decoder's setting has no length behind it."""
    return network.kind == "encoder-decoder" and setting.target_length is not None


def _core(network: Network, setting: Setting, sizes: Mapping[str, float], *, padded: bool) -> float:
    core = pieces("gpt")
    found = value(setting, sizes, core["core"][setting.attention])
    if padded and setting.attention == "eager" and network.implementation == "megatron":
        found += value(setting, sizes, core["padding_mask"])
    if network.implementation == "megatron-plain":
        found += value(setting, sizes, core["plain_softmax"])
    if setting.attention == "eager" and _attention_dropout(network):
        found += value(setting, sizes, core["core_dropout"])
    if setting.attention == "flash" and setting.micro_batch_size > 1:
        found += value(setting, sizes, core["core"]["flash_copy"])
    return found


def _cross(network: Network, setting: Setting, *, keys: int) -> Iterator[tuple[str, float]]:
    """Attention of `t` decoder tokens to the encoder's output, whose own bytes the encoder's last norm keeps."""
    gpt, sizes = pieces("gpt"), {**sizes_of(network, setting), "s": keys}
    sizes["u"] = setting.micro_batch_size * keys / setting.layout.context
    yield (
        "norm",
        value(setting, sizes, gpt["norm"][network.norm]) + value(setting, sizes, gpt["linear_input"]),
    )
    yield "query_key_value", value(setting, sizes, pieces("t5")["query_key_value"])
    yield "core", _core(network, setting, sizes, padded=True)
    yield "context", value(setting, sizes, gpt["context"])
    yield "dropout", value(setting, sizes, gpt["dropout"]) if network.dropout else 0.0


def _dense(network: Network, sizes: Mapping[str, float], setting: Setting) -> Iterator[tuple[str, float]]:
    gpt = pieces("gpt")
    yield "mlp_norm", value(setting, sizes, gpt["norm"][network.norm])
    yield "mlp_normed", value(setting, sizes, gpt["linear_input"])
    kept = gpt["mlp"].get(network.activation, gpt["mlp"]["gelu"])
    yield "mlp", value(setting, sizes, gpt["mlp"]["gated"] if network.gated_mlp else kept)
    yield "mlp_dropout", value(setting, sizes, gpt["dropout"]) if network.dropout else 0.0


def _experts(network: Network, setting: Setting) -> Iterator[tuple[str, float]]:
    gpt, moe, sizes = pieces("gpt"), pieces("moe"), sizes_of(network, setting)
    shape = "gated" if network.gated_mlp else "plain"
    yield "mlp_norm", value(setting, sizes, gpt["norm"][network.norm])
    yield "mlp_normed", value(setting, sizes, gpt["linear_input"])
    yield "router", value(setting, sizes, moe["router"]) + value(setting, sizes, moe["permutation"])
    yield "experts", _own(sizes, moe["expert_input"]) + _own(sizes, moe["experts"][shape])
    yield "expert_activation", _own(sizes, moe["expert_activation"][shape])
    if shared_width(network):
        wide = {**sizes, "f": shared_width(network)}
        yield "shared_experts", value(setting, wide, moe["shared"][shape])
    yield "mlp_dropout", value(setting, sizes, gpt["dropout"]) if network.dropout else 0.0


def _own(sizes: Mapping[str, float], polynomial: Polynomial) -> float:
    """Bytes of what only this rank's experts see: sizes are this rank's already."""
    return evaluate(polynomial, sizes)


def _given_up(found: Mapping[str, float], setting: Setting) -> float:
    """Bytes that selective recomputation does not keep.

    Source: NVIDIA/Megatron-LM@950aa435 megatron/core/transformer/transformer_config.py: recompute_modules.
    """
    names = {
        "core_attn": ("attention.core", "cross.core"),
        "layernorm": ("attention.normed", "mlp_normed"),
        "mla_up_proj": ("attention.up",),
        "mlp": ("mlp",),
        "moe": ("experts", "expert_activation", "router", "shared_experts"),
        "moe_act": ("expert_activation",),
        "shared_experts": ("shared_experts",),
    }
    wanted = [name for module in setting.recomputed_modules for name in names.get(module, ())]
    return sum(found.get(name, 0.0) for name in dict.fromkeys(wanted))


def _backward(
    network: Network, setting: Setting, sizes: Mapping[str, float], *, experts: bool
) -> Iterator[float]:
    gpt, shape = pieces("gpt"), "gated" if network.gated_mlp else "plain"
    yield value(setting, sizes, gpt["core_backward"][setting.attention])
    if experts:
        yield _own(sizes, pieces("moe")["expert_backward"][shape])
    else:
        yield value(setting, sizes, gpt["mlp_backward"][shape])


def _buffer(network: Network, setting: Setting, sizes: Mapping[str, float], *, experts: bool) -> float:
    """Bytes in parallel_state's global memory buffer; its users share it.

    Source: NVIDIA/Megatron-LM@950aa435 megatron/core/utils.py:GlobalMemoryBuffer; users: dot_product_attention.py,
    tensor_parallel/layers.py (sequence parallelism), moe/token_dispatcher.py:MoEAllGatherTokenDispatcher.
    """
    layout, users = setting.layout, [0.0]
    if network.implementation != "megatron":
        users.append(evaluate(pieces("gpt")["core_buffer"], sizes, tensor=layout.tensor))
    if layout.sequence_parallel and layout.tensor > 1:
        users.append(evaluate(pieces("gpt")["gather_buffer"], sizes))
    if experts and setting.expert_dispatch == "allgather" and layout.expert * layout.tensor > 1:
        gathered = {**sizes, "t": sizes["t"] * layout.expert}
        users.append(evaluate(pieces("moe")["gather_buffer"], gathered))
    return max(users)


def _attention_dropout(network: Network) -> float:
    return network.dropout if network.attention_dropout is None else network.attention_dropout
