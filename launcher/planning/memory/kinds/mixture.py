"""Mixtures of experts: every token goes to some of many feed-forward layers, beside shared ones; first layers dense."""

from __future__ import annotations

from dataclasses import replace

from launcher.planning.memory.kinds.ends import embeddings_part, head_part
from launcher.planning.memory.kinds.families import Family
from launcher.planning.memory.kinds.lending import family_of
from launcher.planning.memory.kinds.matrices import Matrix, attention_matrices, expert_matrices
from launcher.planning.memory.kinds.symbols import IMBALANCE
from launcher.planning.memory.kinds.transformer import (
    body_parts,
    choose,
    layer_matrices,
    layer_part,
    wanted_of,
)
from launcher.planning.memory.network import Network
from launcher.planning.memory.part import Part
from launcher.planning.memory.setting import Setting

__all__ = ["active_share", "mixture"]


def mixture(network: Network, setting: Setting) -> tuple[Part, ...]:
    """Parts of a mixture of experts."""
    chosen, wanted, family = choose(network, setting), wanted_of(network, setting), family_of(network)
    matrices = mixture_matrices(network, family)
    layer = layer_part(network, setting, chosen=chosen, wanted=wanted, matrices=matrices)
    layer = replace(layer, source=layer.source + _assumption(network, setting))
    sparse = network.num_layers - network.first_dense_layers
    return (
        embeddings_part(network, setting, chosen, wanted),
        *_dense_layers(network, setting),
        *body_parts(network, setting, layer, matrices=matrices, repeat=sparse),
        head_part(network, setting, chosen, wanted),
    )


def mixture_matrices(network: Network, family: Family) -> tuple[Matrix, ...]:
    """Linear layers of one layer with experts."""
    return (*attention_matrices(network, family), *expert_matrices(network, family))


def active_share(network: Network) -> float:
    """Share of the routed experts that one token goes through."""
    return network.num_experts_per_token / network.num_experts


def _dense_layers(network: Network, setting: Setting) -> tuple[Part, ...]:
    """Leading layers with one feed-forward layer of intermediate_size."""
    if not network.first_dense_layers:
        return ()
    dense = replace(network, kind="decoder", family=None, num_experts=0)
    chosen, wanted, family = choose(dense, setting), wanted_of(dense, setting), family_of(network)
    matrices = layer_matrices(dense, family)
    layer = layer_part(dense, setting, chosen=chosen, wanted=wanted, matrices=matrices)
    parts = body_parts(dense, setting, layer, matrices=matrices, repeat=network.first_dense_layers)
    return tuple(replace(part, name=f"dense {part.name}") for part in parts)


def _assumption(network: Network, setting: Setting) -> str:
    if network.capacity_factor is not None:
        return f"; {network.capacity_factor:g} token slots of an even share per expert"
    if setting.layout.expert > 1:
        return f"; fullest rank takes {IMBALANCE:g} of an even share of tokens"
    return ""
