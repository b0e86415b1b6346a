"""Decoders of Hugging Face transformers; torch is imported when one is built."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from launcher.measuring.ledgers.family import Sizes, Stack, Variant
from launcher.measuring.ledgers.sizes import HELD_OUT, SETS, SYMBOLS, in_eights
from launcher.measuring.ledgers.transformers_models import built, describes, family

__all__ = ["DECODERS"]

_STACK = Stack(
    name="layer",
    path="model.layers",
    places={
        "input_layernorm": "norm",
        "post_attention_layernorm": "norm",
        "pre_feedforward_layernorm": "norm",
        "post_feedforward_layernorm": "norm",
        "self_attn": "attention",
        "mlp": "mlp",
    },
)


def _llama_like(name: str, **extra: Any) -> Callable[[Sizes, Variant], Any]:
    """Families whose configuration is Llama's."""

    def build(sizes: Sizes, variant: Variant) -> Any:
        import transformers

        config = getattr(transformers, f"{name}Config")(
            vocab_size=sizes["V"],
            hidden_size=sizes["h"],
            intermediate_size=sizes["f"],
            num_hidden_layers=3,
            num_attention_heads=sizes["a"],
            num_key_value_heads=sizes["G"],
            head_dim=sizes["d"],
            max_position_embeddings=sizes["p"],
            attention_dropout=0.1 if variant.dropout else 0.0,
            **{"hidden_act": variant.activation, **_for_variant(extra, variant)},
        )
        model = getattr(transformers, name.replace("Text", "") + "ForCausalLM")
        return built(model, config, variant)

    return build


def _for_variant(extra: dict[str, Any], variant: Variant) -> dict[str, Any]:
    return {key: value(variant) if callable(value) else value for key, value in extra.items()}


def _gemma_like(name: str, **extra: Any) -> Callable[[Sizes, Variant], Any]:
    return _llama_like(
        name,
        hidden_activation=lambda variant: variant.activation,
        hidden_act=lambda variant: variant.activation,
        **extra,
    )


def _mixtral(sizes: Sizes, variant: Variant) -> Any:
    from transformers import MixtralConfig, MixtralForCausalLM

    config = MixtralConfig(
        vocab_size=sizes["V"],
        hidden_size=sizes["h"],
        intermediate_size=sizes["g"],
        num_hidden_layers=3,
        num_attention_heads=sizes["a"],
        num_key_value_heads=sizes["G"],
        head_dim=sizes["d"],
        max_position_embeddings=sizes["p"],
        hidden_act=variant.activation,
        attention_dropout=0.1 if variant.dropout else 0.0,
        num_local_experts=sizes["E"],
        num_experts_per_tok=sizes["k"],
    )
    return built(MixtralForCausalLM, config, variant)


def _gpt2(sizes: Sizes, variant: Variant) -> Any:
    from transformers import GPT2Config, GPT2LMHeadModel
    from transformers.pytorch_utils import Conv1D

    p = 0.1 if variant.dropout else 0.0
    config = GPT2Config(
        vocab_size=sizes["V"],
        n_embd=sizes["h"],
        n_inner=sizes["f"],
        n_layer=3,
        n_head=sizes["a"],
        n_positions=sizes["p"],
        activation_function=variant.activation,
        attn_pdrop=p,
        embd_pdrop=p,
        resid_pdrop=p,
    )
    model = built(GPT2LMHeadModel, config, variant)
    for block in model.transformer.h:
        # heads of another width than h / a, so that what belongs to the heads is told from the residual stream
        block.attn.c_attn = Conv1D(3 * sizes["q"], sizes["h"])
        block.attn.c_proj = Conv1D(sizes["h"], sizes["q"])
        block.attn.split_size, block.attn.head_dim = sizes["q"], sizes["d"]
    return model.train()


def _gpt_neox(sizes: Sizes, variant: Variant) -> Any:
    from torch import nn
    from transformers import GPTNeoXConfig, GPTNeoXForCausalLM

    p = 0.1 if variant.dropout else 0.0
    config = GPTNeoXConfig(
        vocab_size=sizes["V"],
        hidden_size=sizes["h"],
        intermediate_size=sizes["f"],
        num_hidden_layers=3,
        num_attention_heads=sizes["a"],
        max_position_embeddings=sizes["p"],
        hidden_act=variant.activation,
        attention_dropout=p,
        hidden_dropout=p,
        head_dim=sizes["d"],
    )
    model = built(GPTNeoXForCausalLM, config, variant)
    for layer in model.gpt_neox.layers:
        # as for GPT-2: heads of another width than h / a
        layer.attention.query_key_value = nn.Linear(sizes["h"], 3 * sizes["q"])
        layer.attention.dense = nn.Linear(sizes["q"], sizes["h"])
        layer.attention.head_size = sizes["d"]
        layer.attention.rotary_ndims = sizes["d"] // 4
    return model.train()


_SWIGLU = ("silu", "gelu", "gelu_new", "relu")
_GEGLU = ("gelu_pytorch_tanh",)
_MLP = ("gelu", "gelu_new", "gelu_pytorch_tanh", "relu", "silu")
_ROTARY = describes("rmsnorm", "silu", "rotary", gated=True, bias=False, tied=False)
_GEMMA = describes("rmsnorm", "gelu_pytorch_tanh", "rotary", gated=True, bias=False, tied=True)
_UNTIED = {"tie_word_embeddings": False}

DECODERS = (
    family(
        "llama",
        describes=_ROTARY,
        build=_llama_like("Llama", **_UNTIED),
        stacks=(_STACK,),
        activations=_SWIGLU,
        grouped=True,
        masks=(False, True),
    ),
    family(
        "gpt2",
        describes=describes("layernorm", "gelu_new", "learned", gated=False, bias=True, tied=True),
        build=_gpt2,
        stacks=(
            Stack(
                name="layer",
                path="transformer.h",
                places={"ln_1": "norm", "ln_2": "norm", "attn": "attention", "mlp": "mlp"},
            ),
        ),
        activations=("gelu_new", *(each for each in _MLP if each != "gelu_new")),
        masks=(False, True),
    ),
    family(
        "gpt_neox",
        describes=describes("layernorm", "gelu", "rotary", gated=False, bias=True, tied=False),
        build=_gpt_neox,
        stacks=(
            Stack(
                name="layer",
                path="gpt_neox.layers",
                places={
                    "input_layernorm": "norm",
                    "post_attention_layernorm": "norm",
                    "attention": "attention",
                    "post_attention_dropout": "attention",
                    "mlp": "mlp",
                    "post_mlp_dropout": "mlp",
                },
            ),
        ),
        activations=_MLP,
        masks=(False, True),
    ),
    family(
        "mixtral",
        describes=_ROTARY,
        build=_mixtral,
        stacks=(_STACK,),
        activations=("silu",),
        symbols=("t", "h", "q", "kv", "V", "a", "s", "b", "d", "p", "k", "E", "g"),
        sets=in_eights(SETS),
        held_out=in_eights(HELD_OUT),
        grouped=True,
        masks=(False, True),
    ),
    family(
        "qwen2",
        describes=describes("rmsnorm", "silu", "rotary", gated=True, bias=True, tied=False),
        build=_llama_like("Qwen2", **_UNTIED),
        stacks=(_STACK,),
        activations=("silu",),
        grouped=True,
        masks=(False, True),
    ),
    family(
        "qwen3",
        describes=_ROTARY,
        build=_llama_like("Qwen3", **_UNTIED),
        symbols=(*SYMBOLS, "G"),
        stacks=(_STACK,),
        activations=("silu",),
        grouped=True,
        masks=(False, True),
    ),
    family(
        "mistral",
        describes=_ROTARY,
        build=_llama_like("Mistral", **_UNTIED),
        stacks=(_STACK,),
        activations=("silu",),
        grouped=True,
        masks=(False, True),
    ),
    family(
        "gemma",
        describes=_GEMMA,
        build=_gemma_like("Gemma"),
        stacks=(_STACK,),
        activations=_GEGLU,
        grouped=True,
        masks=(False, True),
    ),
    family(
        "gemma2",
        describes=_GEMMA,
        build=_gemma_like("Gemma2", query_pre_attn_scalar=8),
        stacks=(_STACK,),
        activations=_GEGLU,
        # its capped scores have no fused kernel
        attentions=("eager",),
        grouped=True,
    ),
    family(
        "gemma3",
        describes=_GEMMA,
        build=_gemma_like("Gemma3Text", query_pre_attn_scalar=8),
        symbols=(*SYMBOLS, "G"),
        stacks=(_STACK,),
        activations=_GEGLU,
        grouped=True,
    ),
)
