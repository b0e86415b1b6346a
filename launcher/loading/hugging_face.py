"""A Hugging Face config.json in the words of a recipe."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = ["dimensions_of", "known_types", "named_as"]

# key of a recipe -> names it has had, most common first; transformers@5.23.0 models/*/configuration_*.py
_NAMES: Mapping[str, tuple[str, ...]] = {
    "hidden_size": ("hidden_size", "n_embd", "d_model", "n_embed"),
    "num_layers": ("num_decoder_layers", "decoder_layers", "num_hidden_layers", "n_layer", "num_layers"),
    "num_attention_heads": ("num_attention_heads", "n_head", "num_heads", "decoder_attention_heads"),
    "num_key_value_heads": ("num_key_value_heads",),
    "head_dim": ("qk_nope_head_dim", "head_dim", "d_kv"),
    "intermediate_size": ("intermediate_size", "n_inner", "d_ff", "ffn_dim", "decoder_ffn_dim"),
    "vocab_size": ("vocab_size",),
    "tie_word_embeddings": ("tie_word_embeddings",),
    "max_position_embeddings": ("max_position_embeddings", "n_positions"),
    "sliding_window": ("sliding_window",),
    "num_experts": ("num_local_experts", "num_experts", "n_routed_experts"),
    "num_experts_per_token": ("num_experts_per_tok",),
    "moe_intermediate_size": ("moe_intermediate_size",),
    "num_shared_experts": ("n_shared_experts",),
    "first_dense_layers": ("first_k_dense_replace",),
    "kv_latent_dim": ("kv_lora_rank",),
    "q_latent_dim": ("q_lora_rank",),
    "rotary_dim": ("qk_rope_head_dim",),
    "value_dim": ("v_head_dim",),
    "image_size": ("image_size",),
    "patch_size": ("patch_size",),
}
_DROPOUT = ("hidden_dropout_prob", "resid_pdrop", "hidden_dropout", "dropout_rate", "dropout")
_ATTENTION_DROPOUT = ("attention_probs_dropout_prob", "attn_pdrop", "attention_dropout")
_ACTIVATION = ("hidden_act", "activation_function", "hidden_activation", "dense_act_fn")
_ACTIVATIONS = {"gelu_pytorch_tanh": "gelu", "gelu_python": "gelu", "gelu_fast": "gelu_new", "swish": "silu"}

_ROTARY = {"norm": "rmsnorm", "gated_mlp": True, "position": "rotary"}
_LEARNED = {"norm": "layernorm", "gated_mlp": False, "position": "learned", "bias": True}

# model_type -> what its code fixes, and what its configuration class has where the file is silent
_TYPES: Mapping[str, tuple[Mapping[str, Any], Mapping[str, Any]]] = {
    "llama": (_ROTARY, {"tie_word_embeddings": False, "activation": "silu"}),
    "mistral": (_ROTARY, {"tie_word_embeddings": False, "activation": "silu"}),
    "qwen2": (_ROTARY, {"tie_word_embeddings": False, "activation": "silu"}),
    "qwen3": (_ROTARY, {"tie_word_embeddings": False, "activation": "silu"}),
    "gemma": (_ROTARY, {"tie_word_embeddings": True, "activation": "gelu"}),
    "mixtral": ({**_ROTARY, "kind": "moe"}, {"tie_word_embeddings": False, "activation": "silu"}),
    "deepseek_v3": ({**_ROTARY, "kind": "moe"}, {"tie_word_embeddings": False, "activation": "silu"}),
    "gpt2": (_LEARNED, {"tie_word_embeddings": True, "activation": "gelu_new"}),
    "opt": (_LEARNED, {"tie_word_embeddings": True, "activation": "relu"}),
    "gpt_neox": (
        {"norm": "layernorm", "gated_mlp": False, "position": "rotary", "bias": True},
        {"tie_word_embeddings": False, "activation": "gelu"},
    ),
    "bert": ({**_LEARNED, "kind": "encoder"}, {"tie_word_embeddings": True, "activation": "gelu"}),
    "t5": (
        {"kind": "encoder-decoder", "norm": "rmsnorm", "position": "none"},
        {"tie_word_embeddings": True, "activation": "relu", "gated_mlp": False},
    ),
    "vit": ({"kind": "vit", "norm": "layernorm", "gated_mlp": False}, {"activation": "gelu"}),
    "phi": (
        {"norm": "layernorm", "gated_mlp": False, "position": "rotary", "bias": True},
        {"tie_word_embeddings": False, "activation": "gelu_new"},
    ),
    "phi3": (_ROTARY, {"tie_word_embeddings": False, "activation": "silu"}),
    "gemma2": (_ROTARY, {"tie_word_embeddings": True, "activation": "gelu"}),
    "gemma3_text": (_ROTARY, {"tie_word_embeddings": True, "activation": "gelu"}),
    "bloom": (
        {"norm": "layernorm", "gated_mlp": False, "position": "none", "bias": True},
        {"tie_word_embeddings": True, "activation": "gelu"},
    ),
    "roberta": ({**_LEARNED, "kind": "encoder"}, {"tie_word_embeddings": True, "activation": "gelu"}),
    "xlm-roberta": ({**_LEARNED, "kind": "encoder"}, {"tie_word_embeddings": True, "activation": "gelu"}),
    "bart": ({**_LEARNED, "kind": "encoder-decoder"}, {"tie_word_embeddings": True, "activation": "gelu"}),
    "mt5": (
        {"kind": "encoder-decoder", "norm": "rmsnorm", "position": "none", "gated_mlp": True},
        {"tie_word_embeddings": False, "activation": "gelu_new"},
    ),
    "olmoe": ({**_ROTARY, "kind": "moe"}, {"tie_word_embeddings": False, "activation": "silu"}),
    "qwen2_moe": ({**_ROTARY, "kind": "moe"}, {"tie_word_embeddings": False, "activation": "silu"}),
    "qwen3_moe": ({**_ROTARY, "kind": "moe"}, {"tie_word_embeddings": False, "activation": "silu"}),
}
_FAMILIES = {"gemma3_text": "gemma3", "mt5": "t5_v1_1", "xlm-roberta": "roberta"}
"""Families by another name than their model_type."""


def known_types() -> tuple[str, ...]:
    """Every `model_type` that can be read, in order."""
    return tuple(sorted(_TYPES))


def dimensions_of(config: Mapping[str, Any]) -> dict[str, Any]:
    """Keys of `model`, and `hidden_size`, of a configuration whose model_type is known.

    Raises KeyError for another model_type.
    """
    name = str(config.get("model_type"))
    fixed, silent = _TYPES[name]
    found: dict[str, Any] = {"kind": "decoder", "family": _FAMILIES.get(name, name), **silent}
    for key, names in _NAMES.items():
        value = next((config[each] for each in names if config.get(each) is not None), None)
        if value is not None:
            found[key] = value
    dropout = next((config[each] for each in _DROPOUT if isinstance(config.get(each), int | float)), None)
    if dropout:
        found["dropout"] = float(dropout)
    attention = next((config[k] for k in _ATTENTION_DROPOUT if isinstance(config.get(k), int | float)), None)
    if attention is not None and attention != (dropout or 0):
        found["attention_dropout"] = float(attention)
    activation = next((config[each] for each in _ACTIVATION if isinstance(config.get(each), str)), None)
    if activation is not None:
        found["activation"] = _ACTIVATIONS.get(activation, activation)
    return {**found, **_of_two_stacks(name, config), **_of_experts(config), **_choices(name, config), **fixed}


def named_as(key: str, config: Mapping[str, Any]) -> str | None:
    """What a configuration calls a key of a recipe; None where its model_type alone says the value."""
    return next((name for name in _NAMES.get(key, ()) if config.get(name) is not None), None)


def _of_two_stacks(name: str, config: Mapping[str, Any]) -> dict[str, Any]:
    """The encoder's depth where it is not the decoder's, and T5 with a gate, which is a family of its own."""
    if name not in ("t5", "mt5", "bart"):
        return {}
    encoder = config.get("num_layers") if name != "bart" else config.get("encoder_layers")
    decoder = config.get("num_decoder_layers", config.get("decoder_layers"))
    found = {"num_encoder_layers": encoder} if None not in (encoder, decoder) and encoder != decoder else {}
    gated = name == "t5" and "gated" in str(config.get("feed_forward_proj", ""))
    return {**found, "gated_mlp": True, "family": "t5_v1_1"} if gated else found


def _of_experts(config: Mapping[str, Any]) -> dict[str, Any]:
    """Shared experts, where only the width of all together is written."""
    shared, each = config.get("shared_expert_intermediate_size"), config.get("moe_intermediate_size")
    if not (isinstance(shared, int) and isinstance(each, int) and each > 0):
        return {}
    return {"num_shared_experts": -(-shared // each)}


def _choices(name: str, config: Mapping[str, Any]) -> dict[str, Any]:
    """Classes of an image classifier (two where none are named); a window that is written and switched off."""
    found: dict[str, Any] = {"num_classes": len(config.get("id2label") or (0, 1))} if name == "vit" else {}
    return {**found, "sliding_window": None} if config.get("use_sliding_window") is False else found
