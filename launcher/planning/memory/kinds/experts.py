"""Saved bytes of experts that no traced ledger has: those that every token goes to, and those without a gate."""

from __future__ import annotations

from dataclasses import replace

from launcher.planning.memory.kinds.composing import LayerBytes, layer_bytes, piece
from launcher.planning.memory.kinds.lending import Lenders, family_of
from launcher.planning.memory.kinds.matrices import shared_width
from launcher.planning.memory.kinds.rows import Wanted, find_row
from launcher.planning.memory.network import Network
from launcher.planning.memory.polynomial import Polynomial, added

__all__ = ["with_plain_experts", "with_routed_experts", "with_shared_experts"]


def with_routed_experts(network: Network, wanted: Wanted, layer: LayerBytes) -> LayerBytes:
    """The layer with Mixtral's experts in place of a dense feed-forward layer, where the ledger knows no experts."""
    if not network.num_experts or any("k" in names.split("*") for names in layer.mlp):
        return layer
    mixtral = Lenders("transformers", "mixtral", "mixtral", "mixtral", "mixtral")
    lent = layer_bytes(mixtral, wanted, attention_dropout=wanted.dropout)
    return replace(
        layer,
        mlp=lent.mlp,
        backward=lent.backward,
        forward=lent.forward,
        source=f"{layer.source}; experts of {lent.source}",
    )


def with_plain_experts(network: Network, wanted: Wanted, layer: LayerBytes) -> LayerBytes:
    """The layer with experts of two matrices, where the ledger's have a gate: that and its product are not there."""
    known = layer.mlp.get("t*k*g", 0)
    size = 4 if wanted.precision == "fp32" else 2
    if network.gated_mlp or not network.num_experts or known < 4 * size:
        return layer
    return replace(
        layer,
        mlp=added(layer.mlp, {"t*k*g": -2 * size}),
        source=f"{layer.source}; experts without a gate by formula",
    )


def with_shared_experts(network: Network, wanted: Wanted, layer: LayerBytes, *, dense: Lenders) -> LayerBytes:
    """The layer with its shared experts added, where the ledger does not know them.

    Their input is the routed experts' input, kept once except under autocast, which casts it again.
    Source: transformers@5.23.0 models/qwen2_moe/modeling_qwen2_moe.py Qwen2MoeSparseMoeBlock (the expert gate keeps its
    sigmoid and what it weighs); models/deepseek_v3/modeling_deepseek_v3.py DeepseekV3TopkRouter (reads fp32).
    Checked: real torch on CPU.
    """
    if not shared_width(network) or any("S" in names.split("*") for names in layer.mlp):
        return layer
    row = find_row(dense.implementation, dense.mlp, wanted)
    size = 4 if wanted.precision == "fp32" else 2
    own: Polynomial = {
        names.replace("f", "S"): value
        for names, value in piece(row, "layer", "mlp").items()
        if names != "t*h" or wanted.precision == "autocast"
    }
    cast = 2 if wanted.precision == "autocast" else 0
    gate: Polynomial = {"t*h": size + cast, "t": size} if family_of(network).expert_gate else {}
    reads: Polynomial = {"t*h": 4} if network.family == "deepseek_v3" and wanted.precision == "bf16" else {}
    return replace(
        layer,
        mlp=added(added(layer.mlp, own), added(gate, reads)),
        source=f"{layer.source}; shared experts as mlp of {row.family}",
    )
