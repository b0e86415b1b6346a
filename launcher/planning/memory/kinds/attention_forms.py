"""Saved bytes of forms of attention that a ledger does not know: multi-latent, and norms over query and key."""

from __future__ import annotations

from dataclasses import replace

from launcher.planning.memory.kinds.composing import LayerBytes
from launcher.planning.memory.kinds.rows import Wanted
from launcher.planning.memory.network import Network
from launcher.planning.memory.polynomial import Polynomial, added

__all__ = ["with_latent_attention", "with_query_norms"]


def with_latent_attention(network: Network, wanted: Wanted, layer: LayerBytes) -> LayerBytes:
    """The layer with multi-latent attention in place of its own, where the ledger does not know it.

    Each latent is normalised in fp32 and projected; values are a view of what the second projection puts out. Values of
    another width than keys leave the flash kernel for the memory-efficient one on CUDA, and for plain products on CPU.
    Source: transformers@5.23.0 models/deepseek_v3/modeling_deepseek_v3.py DeepseekV3Attention.
    Checked: real torch on CPU, exact in fp32 and bf16, eager and SDPA.
    """
    if not network.kv_latent_dim or any("z" in names.split("*") for names in layer.attention):
        return layer
    size = 4 if wanted.precision == "fp32" else 2
    scores = {names: value for names, value in layer.core.items() if "s" in names.split("*")}
    attention, core = _product(wanted, size, scores)
    return replace(
        layer,
        attention=added(_latents(network, wanted.precision, size), attention),
        core=core,
        source=f"{layer.source}; multi-latent attention by formula",
    )


def with_query_norms(wanted: Wanted, layer: LayerBytes, *, wanted_norm: str, known_norm: str) -> LayerBytes:
    """The layer with an RMSNorm over query and over key added, where the lending family has none.

    Source: transformers@5.23.0 models/qwen3_moe/modeling_qwen3_moe.py Qwen3MoeAttention (norms one head wide),
    models/olmoe/modeling_olmoe.py OlmoeAttention (all heads wide): an fp32 copy, the normalised values, a rstd.
    Checked: real torch on CPU.
    """
    if wanted_norm == "none" or known_norm != "none":
        return layer
    each = 8 if wanted.precision == "fp32" else 6
    rstd: Polynomial = {"t*a": 4, "t*G": 4} if wanted_norm == "head" else {"t": 8}
    return replace(
        layer,
        attention=added(layer.attention, {"t*q": each, "t*kv": each, **rstd}),
        source=f"{layer.source}; query norms by formula",
    )


def _latents(network: Network, precision: str, size: int) -> Polynomial:
    inputs, queries = (2 if precision == "autocast" else 1), 1 if network.q_latent_dim else 0
    each = 12 if precision == "fp32" else 8
    kept: Polynomial = {"t*h": size * inputs, "t*y": each, "t*z": each, "t": 4 + 4 * queries}
    if precision == "fp32":
        return added(kept, {"t*x": 4})
    if precision == "autocast":
        casts: Polynomial = {"h*z": 2, "h*x": 2, "z*a*d": 2, "z*v": 2, "h*v": 2}
        return added(added(kept, casts), {"h*y": 2, "y*q": 2} if queries else {"h*q": 2})
    return kept


def _product(wanted: Wanted, size: int, scores: Polynomial) -> tuple[Polynomial, Polynomial]:
    """Bytes of queries, keys, values and their product, and of what selective checkpointing computes again."""
    if wanted.attention == "eager":
        return {"t*q": 2 * size, "t*v": 2 * size}, scores
    if wanted.device == "cpu":
        return {"t*q": 8, "t*v": 4 + size}, {"t*a*s": 12 if wanted.dropout else 4}
    return {"t*q": 2 * size, "t*a*d": size, "t*v": 2 * size}, {"t*a": 4}
