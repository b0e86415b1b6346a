"""More families of Hugging Face transformers; torch is imported when one is built."""

from __future__ import annotations

from typing import Any

from launcher.measuring.ledgers.family import Sizes, Stack, Variant
from launcher.measuring.ledgers.transformers_models import built, describes, family
from launcher.measuring.ledgers.transformers_others import pairs

__all__ = ["MORE"]


def _widened(attention: Any, sizes: Sizes) -> None:
    """Gives heads another width than h / a, so that what belongs to them is told from the residual stream."""
    from torch import nn

    for name in ("q_proj", "k_proj", "v_proj"):
        setattr(attention, name, nn.Linear(sizes["h"], sizes["q"]))
    attention.out_proj = nn.Linear(sizes["q"], sizes["h"])
    attention.head_dim = sizes["d"]


def _bart(sizes: Sizes, variant: Variant) -> Any:
    from transformers import BartConfig, BartForConditionalGeneration

    p = 0.1 if variant.dropout else 0.0
    config = BartConfig(
        vocab_size=sizes["V"],
        d_model=sizes["h"],
        encoder_ffn_dim=sizes["f"],
        decoder_ffn_dim=sizes["f"],
        encoder_layers=3,
        decoder_layers=3,
        encoder_attention_heads=sizes["a"],
        decoder_attention_heads=sizes["a"],
        max_position_embeddings=sizes["p"],
        activation_function=variant.activation,
        dropout=p,
        attention_dropout=p,
        activation_dropout=0.0,
        decoder_start_token_id=2,
    )
    model = built(BartForConditionalGeneration, config, variant)
    for layer in model.model.encoder.layers:
        _widened(layer.self_attn, sizes)
    for layer in model.model.decoder.layers:
        _widened(layer.self_attn, sizes)
        _widened(layer.encoder_attn, sizes)
    return model.train()


def _opt(sizes: Sizes, variant: Variant) -> Any:
    from transformers import OPTConfig, OPTForCausalLM

    p = 0.1 if variant.dropout else 0.0
    config = OPTConfig(
        vocab_size=sizes["V"],
        hidden_size=sizes["h"],
        word_embed_proj_dim=sizes["h"],
        ffn_dim=sizes["f"],
        num_hidden_layers=3,
        num_attention_heads=sizes["a"],
        max_position_embeddings=sizes["p"],
        activation_function=variant.activation,
        dropout=p,
        attention_dropout=p,
    )
    model = built(OPTForCausalLM, config, variant)
    for layer in model.model.decoder.layers:
        _widened(layer.self_attn, sizes)
    return model.train()


def _phi(sizes: Sizes, variant: Variant) -> Any:
    from transformers import PhiConfig, PhiForCausalLM

    p = 0.1 if variant.dropout else 0.0
    config = PhiConfig(
        vocab_size=sizes["V"],
        hidden_size=sizes["h"],
        intermediate_size=sizes["f"],
        num_hidden_layers=3,
        num_attention_heads=sizes["a"],
        max_position_embeddings=sizes["p"],
        hidden_act=variant.activation,
        resid_pdrop=p,
        embd_pdrop=p,
        attention_dropout=p,
        head_dim=sizes["d"],
    )
    return built(PhiForCausalLM, config, variant)


def _phi3(sizes: Sizes, variant: Variant) -> Any:
    from transformers import Phi3Config, Phi3ForCausalLM

    p = 0.1 if variant.dropout else 0.0
    config = Phi3Config(
        vocab_size=sizes["V"],
        hidden_size=sizes["h"],
        intermediate_size=sizes["f"],
        num_hidden_layers=3,
        num_attention_heads=sizes["a"],
        num_key_value_heads=sizes["G"],
        max_position_embeddings=sizes["p"],
        hidden_act=variant.activation,
        attention_dropout=p,
        resid_pdrop=p,
        head_dim=sizes["d"],
        pad_token_id=0,
    )
    return built(Phi3ForCausalLM, config, variant)


_FEED_FORWARD = {"fc1": "mlp", "activation_fn": "mlp", "fc2": "mlp", "final_layer_norm": "norm"}
_SELF = {"self_attn": "attention", "self_attn_layer_norm": "norm"}

MORE = (
    family(
        "bart",
        describes=describes("layernorm", "gelu", "learned", gated=False, bias=True, tied=True),
        build=_bart,
        call=pairs,
        stacks=(
            Stack(name="encoder", path="model.encoder.layers", places={**_SELF, **_FEED_FORWARD}),
            Stack(
                name="decoder",
                path="model.decoder.layers",
                places={**_SELF, "encoder_attn": "cross", "encoder_attn_layer_norm": "norm", **_FEED_FORWARD},
            ),
        ),
        symbols=("t", "u", "h", "q", "f", "V", "a", "s", "r", "b", "d", "p"),
        first_parameters=("embed", "shared"),
        activations=("gelu", "relu"),
        masks=(False, True),
    ),
    family(
        "opt",
        describes=describes("layernorm", "relu", "learned", gated=False, bias=True, tied=True),
        build=_opt,
        stacks=(Stack(name="layer", path="model.decoder.layers", places={**_SELF, **_FEED_FORWARD}),),
        activations=("relu", "gelu"),
    ),
    family(
        "phi",
        describes=describes("layernorm", "gelu_new", "rotary", gated=False, bias=True, tied=False),
        build=_phi,
        stacks=(
            Stack(
                name="layer",
                path="model.layers",
                places={"input_layernorm": "norm", "self_attn": "attention", "mlp": "mlp"},
            ),
        ),
        activations=("gelu_new", "gelu"),
    ),
    family(
        "phi3",
        describes=describes("rmsnorm", "silu", "rotary", gated=True, bias=False, tied=False),
        build=_phi3,
        stacks=(
            Stack(
                name="layer",
                path="model.layers",
                places={
                    "input_layernorm": "norm",
                    "post_attention_layernorm": "norm",
                    "self_attn": "attention",
                    "mlp": "mlp",
                },
            ),
        ),
        activations=("silu", "gelu"),
        grouped=True,
    ),
)
