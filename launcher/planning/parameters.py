"""How many parameters a decoder of given dimensions has."""

from __future__ import annotations

from launcher.spec.model import Model
from launcher.spec.plan import ModelPlan

__all__ = ["decoder_parameters"]


def decoder_parameters(*, plan: ModelPlan, model: Model, sequence_length: int | None) -> int | None:
    """Parameters of a dense decoder; None where no public model says how it is built.

    layernorm with a plain feed-forward layer stands for GPT-2's conventions (a bias in every linear layer and norm,
    none in the output), rmsnorm with a gated one for LLaMA's (no bias anywhere).
    Source: transformers@5.23.0 models/gpt2/modeling_gpt2.py, models/llama/modeling_llama.py.
    Checked: GPT-2 124,439,808; Llama-3-8B 8,030,261,248.
    """
    if plan.kind != "decoder" or model.kv_latent_dim is not None:
        return None
    if (model.norm, model.gated_mlp) not in {("layernorm", False), ("rmsnorm", True)}:
        return None
    hidden, layers, heads = (
        _known(plan.hidden_size),
        _known(plan.num_layers),
        _known(plan.num_attention_heads),
    )
    kv_heads, head_dim = _known(plan.num_key_value_heads), _known(plan.head_dim)
    inner, vocab = _known(plan.intermediate_size), _known(plan.vocab_size)
    bias = 1 if model.norm == "layernorm" else 0
    query, key_value = heads * head_dim, 2 * kv_heads * head_dim
    attention = (hidden + bias) * (query + key_value) + (query + bias) * hidden
    feed_forward = (hidden + bias) * inner * (2 if model.gated_mlp else 1) + (inner + bias) * hidden
    norm = hidden * (1 + bias)
    embeddings = vocab * hidden * (1 if model.tie_word_embeddings else 2)
    positions = _known(sequence_length) * hidden if model.position == "learned" else 0
    return layers * (attention + feed_forward + 2 * norm) + norm + embeddings + positions


def _known(size: int | None) -> int:
    assert size is not None, "a decoder that plans has all its dimensions"
    return size
