"""Values of the ledgers' symbols for one micro-batch of a network on one rank."""

from __future__ import annotations

from launcher.planning.memory.kinds.matrices import query_width, shared_width, value_width
from launcher.planning.memory.network import Network
from launcher.planning.memory.polynomial import Polynomial, evaluate
from launcher.planning.memory.setting import Setting

__all__ = ["IMBALANCE", "bytes_of", "casts_of", "compute_bytes", "symbols", "target_length"]

IMBALANCE = 1.25
"""Tokens on the fullest rank over the mean where experts are spread over ranks and none are dropped.

An assumption, the usual capacity factor: Lepikhin et al. 2020, arXiv:2006.16668; Fedus et al. 2021, arXiv:2101.03961.
"""
_TOKENS = frozenset("tubsr")


def symbols(network: Network, setting: Setting) -> dict[str, float]:
    """Sizes by symbol; context-parallel ranks share tokens, while attention looks at keys of the whole length."""
    batch, layout = setting.micro_batch_size, setting.layout
    length, target = setting.sequence_length, target_length(setting)
    key_heads = network.num_key_value_heads or network.num_attention_heads
    # sequence parallelism divides every monomial with tokens, so widths of experts are whole there
    width = 1 if layout.sequence_parallel else layout.tensor
    expert_width = 1 if layout.sequence_parallel else layout.expert_tensor or layout.tensor
    return {
        "b": batch,
        "s": length,
        "r": target,
        "t": batch * length / layout.context,
        "u": batch * target / layout.context,
        "h": network.hidden_size,
        "a": network.num_attention_heads,
        "d": network.head_dim,
        "q": query_width(network),
        "kv": key_heads * network.head_dim,
        "G": key_heads,
        "v": value_width(network),
        "f": network.intermediate_size,
        "V": network.vocab_size,
        "p": network.max_positions,
        "k": network.num_experts_per_token * _load(network, setting),
        "E": network.num_experts,
        "g": network.moe_intermediate_size / expert_width,
        "S": shared_width(network) / width,
        "z": network.kv_latent_dim,
        "y": network.q_latent_dim,
        "x": network.rotary_dim,
        "w": min(network.sliding_window or length, length),
        "L": network.num_layers,
        "n": network.num_classes,
        "P": network.patch_size,
    }


def bytes_of(polynomial: Polynomial, sizes: dict[str, float], setting: Setting) -> float:
    """A polynomial's bytes on one rank."""
    layout = setting.layout
    return evaluate(polynomial, sizes, tensor=layout.tensor, sequence_parallel=layout.sequence_parallel)


def casts_of(polynomial: Polynomial) -> Polynomial:
    """The part of a polynomial that no token enters: copies of weights."""
    return {
        names: coefficient
        for names, coefficient in polynomial.items()
        if names != "1" and _TOKENS.isdisjoint(names.split("*"))
    }


def compute_bytes(setting: Setting) -> int:
    """Bytes of one number that layers compute in; fp8 layers keep their values in 16 bits."""
    return 4 if setting.formats.compute == "fp32" else 2


def target_length(setting: Setting) -> int:
    """Tokens out of a decoder; as many as go in where nothing else is said."""
    return setting.target_length or setting.sequence_length


def _load(network: Network, setting: Setting) -> float:
    """Token slots on a rank over an even share."""
    if network.capacity_factor is not None:
        return network.capacity_factor
    return IMBALANCE if setting.layout.expert > 1 else 1.0
