"""What is trained, as far as its memory depends on it: dimensions of one network, whoever wrote them down."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from launcher.spec.model import Adapter

__all__ = ["Network"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Network:
    """Dimensions of a network; the names are the recipe's, sizes that do not apply are 0 or None."""

    kind: str
    """decoder, encoder, encoder-decoder, moe, rnn, lstm, gru, bag, mlp, vit, resnet or module."""
    implementation: str = "transformers"
    """Whose kernels run: a folder of catalog/ledgers (transformers, torch, megatron, fused, compiled, litgpt ...)."""
    family: str | None = None
    """A file of that folder (llama, gpt2 ...); None: found from norm, gate and positions."""
    hidden_size: int = 0
    num_layers: int = 0
    """Of the decoder, and of the encoder too where num_encoder_layers is None."""
    num_encoder_layers: int | None = None
    num_attention_heads: int = 0
    num_key_value_heads: int = 0
    head_dim: int = 0
    intermediate_size: int = 0
    vocab_size: int = 0
    max_positions: int = 0
    """Rows of a learned position table."""
    gated_mlp: bool = False
    activation: str = "gelu"
    norm: str = "layernorm"
    position: str = "learned"
    tie_word_embeddings: bool = True
    bias: bool | None = None
    """Whether linear layers have biases; None: as the family has them."""
    dropout: float = 0.0
    attention_dropout: float | None = None
    """None: as dropout."""
    num_experts: int = 0
    num_experts_per_token: int = 0
    moe_intermediate_size: int = 0
    num_shared_experts: int = 0
    shared_intermediate_size: int = 0
    """Width of all shared experts together; 0: num_shared_experts x moe_intermediate_size."""
    first_dense_layers: int = 0
    capacity_factor: float | None = None
    """Token slots per expert over an even share; None: no slots are dropped or padded."""
    kv_latent_dim: int = 0
    q_latent_dim: int = 0
    rotary_dim: int = 0
    """Width of the separate rotary part of a head in multi-latent attention."""
    value_dim: int = 0
    """Width of a head's value where it differs from head_dim."""
    query_norm: bool = False
    """Norms over every head's query and key."""
    predict_layers: int = 0
    """Layers behind the last one that predict further tokens (multi-token prediction)."""
    sliding_window: int | None = None
    input_size: int = 0
    output_size: int = 0
    bidirectional: bool = False
    projection_size: int = 0
    truncate_steps: int | None = None
    image_size: int = 0
    patch_size: int = 0
    depth: int = 0
    num_classes: int = 0
    adapter: Adapter | None = None
    frozen: tuple[str, ...] = ()
    trace: Mapping[str, Any] | None = None
    """What `batchwright trace` has found of kind module (launcher/planning/memory/traced.py)."""
