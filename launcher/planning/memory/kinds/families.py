"""Transformer families: what their layers are made of, as far as parameters and saved bytes depend on it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

__all__ = ["FAMILIES", "Family"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Family:
    """Conventions of one public model family; the name is Hugging Face's `model_type` (t5_v1_1: T5 with a gate).

    Source: transformers@5.23.0 models/<name>/modeling_<name>.py and its configuration's defaults.
    """

    kind: Literal["decoder", "encoder", "encoder-decoder", "moe"]
    norm: Literal["layernorm", "rmsnorm"]
    gated: bool
    activation: str
    position: Literal["rotary", "learned", "relative", "alibi"]
    query_bias: bool = False
    """In the projections to query, key and value."""
    output_bias: bool = False
    """In the projection out of attention."""
    mlp_bias: bool = False
    norm_bias: bool = False
    fused_query: bool = False
    """Query, key and value come out of one matrix."""
    fused_gate: bool = False
    """Gate and up projection are one matrix."""
    norms: int = 2
    """Norms of the full width in one layer."""
    query_norm: Literal["none", "head", "width"] = "none"
    """Norms over query and over key: one head wide, or all heads wide."""
    position_rows: int = 0
    """Rows of the position table beyond max_positions."""
    token_types: int = 0
    embedding_norm: bool = False
    final_norm: bool = True
    head_bias: bool = False
    """In the output projection."""
    head_transform: bool = False
    """A square layer and a norm stand before the output projection."""
    relative_buckets: int = 0
    """Rows of a table of relative positions, one number each head, in the first layer of each stack."""
    expert_gate: bool = False
    """One output beside the shared experts weighs them."""
    ties: bool = False
    """Whether output and input embeddings are one tensor where nothing is written."""


_GPT: dict[str, Any] = {"query_bias": True, "output_bias": True, "mlp_bias": True, "norm_bias": True}

FAMILIES: dict[str, Family] = {
    "gpt2": Family(
        kind="decoder", norm="layernorm", gated=False, activation="gelu_new", position="learned",
        fused_query=True, ties=True, **_GPT,
    ),
    "opt": Family(
        kind="decoder", norm="layernorm", gated=False, activation="relu", position="learned",
        position_rows=2, ties=True, **_GPT,
    ),
    "gpt_neox": Family(
        kind="decoder", norm="layernorm", gated=False, activation="gelu", position="rotary",
        fused_query=True, **_GPT,
    ),
    "bloom": Family(
        kind="decoder", norm="layernorm", gated=False, activation="gelu", position="alibi",
        fused_query=True, embedding_norm=True, ties=True, **_GPT,
    ),
    "phi": Family(
        kind="decoder", norm="layernorm", gated=False, activation="gelu_new", position="rotary",
        norms=1, head_bias=True, **_GPT,
    ),
    "llama": Family(kind="decoder", norm="rmsnorm", gated=True, activation="silu", position="rotary"),
    "mistral": Family(kind="decoder", norm="rmsnorm", gated=True, activation="silu", position="rotary"),
    "qwen2": Family(
        kind="decoder", norm="rmsnorm", gated=True, activation="silu", position="rotary", query_bias=True
    ),
    "qwen3": Family(
        kind="decoder", norm="rmsnorm", gated=True, activation="silu", position="rotary", query_norm="head"
    ),
    "gemma": Family(
        kind="decoder", norm="rmsnorm", gated=True, activation="gelu", position="rotary", ties=True
    ),
    "gemma2": Family(
        kind="decoder", norm="rmsnorm", gated=True, activation="gelu", position="rotary", norms=4, ties=True
    ),
    "gemma3": Family(
        kind="decoder", norm="rmsnorm", gated=True, activation="gelu", position="rotary", norms=4,
        query_norm="head", ties=True,
    ),
    "phi3": Family(
        kind="decoder", norm="rmsnorm", gated=True, activation="silu", position="rotary",
        fused_query=True, fused_gate=True,
    ),
    "bert": Family(
        kind="encoder", norm="layernorm", gated=False, activation="gelu", position="learned", token_types=2,
        embedding_norm=True, final_norm=False, head_transform=True, head_bias=True, ties=True, **_GPT,
    ),
    "roberta": Family(
        kind="encoder", norm="layernorm", gated=False, activation="gelu", position="learned", token_types=1,
        embedding_norm=True, final_norm=False, head_transform=True, head_bias=True,
        ties=True, **_GPT,
    ),
    "t5": Family(
        kind="encoder-decoder", norm="rmsnorm", gated=False, activation="relu", position="relative",
        relative_buckets=32, ties=True,
    ),
    "t5_v1_1": Family(
        kind="encoder-decoder", norm="rmsnorm", gated=True, activation="gelu_new", position="relative",
        relative_buckets=32,
    ),
    "bart": Family(
        kind="encoder-decoder", norm="layernorm", gated=False, activation="gelu", position="learned",
        position_rows=2, embedding_norm=True, final_norm=False, ties=True, **_GPT,
    ),
    "mixtral": Family(kind="moe", norm="rmsnorm", gated=True, activation="silu", position="rotary"),
    "olmoe": Family(
        kind="moe", norm="rmsnorm", gated=True, activation="silu", position="rotary", query_norm="width"
    ),
    "qwen2_moe": Family(
        kind="moe", norm="rmsnorm", gated=True, activation="silu", position="rotary", query_bias=True,
        expert_gate=True,
    ),
    "qwen3_moe": Family(
        kind="moe", norm="rmsnorm", gated=True, activation="silu", position="rotary", query_norm="head"
    ),
    "deepseek_v3": Family(
        kind="moe", norm="rmsnorm", gated=True, activation="silu", position="rotary"
    ),
}  # fmt: skip
"""In the order of preference between families that describe a network equally well, within one kind."""
