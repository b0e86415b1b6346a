"""Families of Hugging Face transformers, built from a bare configuration; torch is imported when one is built."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from launcher.measuring.ledgers.family import Family, Sizes, Stack, Variant

__all__ = ["FAMILIES"]

_SYMBOLS = ("t", "h", "q", "kv", "f", "V", "a", "s", "b", "d", "p")


def _sizes(  # noqa: PLR0917
    b: int, s: int, a: int, n: int, d: int, m: int, f: int, vocabulary: int, p: int
) -> Sizes:
    """Dimensions of one small decoder; h = a * m is a multiple of the heads and yet another number than q = a * d."""
    return {
        "b": b, "s": s, "t": b * s, "a": a, "n": n, "d": d, "h": a * m, "q": a * d, "kv": n * d, "f": f,
        "V": vocabulary, "p": p,
    }  # fmt: skip


_SETS = (
    _sizes(2, 5, 4, 2, 8, 7, 37, 53, 61),
    _sizes(3, 7, 6, 2, 16, 11, 41, 71, 67),
    _sizes(5, 6, 6, 3, 8, 13, 59, 43, 83),
    _sizes(2, 9, 10, 5, 16, 5, 97, 101, 71),
)
_HELD_OUT = (_sizes(7, 4, 8, 4, 24, 9, 23, 131, 19), _sizes(4, 13, 9, 3, 8, 4, 31, 29, 47))


def _language_model(model: Any, sizes: Sizes, _: Variant) -> Callable[[], Any]:
    import torch

    ids = torch.randint(0, sizes["V"], (sizes["b"], sizes["s"]))
    labels = ids.clone()

    def forward() -> Any:
        output = model(input_ids=ids, labels=labels, use_cache=False)
        return output.loss, output.logits

    return forward


def _build(model: Any, config: Any, variant: Variant) -> Any:
    config._attn_implementation = variant.attention  # noqa: SLF001
    config.use_cache = False
    return model(config).train()


def _llama(sizes: Sizes, variant: Variant) -> Any:
    from transformers import LlamaConfig, LlamaForCausalLM

    config = LlamaConfig(
        vocab_size=sizes["V"],
        hidden_size=sizes["h"],
        intermediate_size=sizes["f"],
        num_hidden_layers=3,
        num_attention_heads=sizes["a"],
        num_key_value_heads=sizes["n"],
        head_dim=sizes["d"],
        max_position_embeddings=sizes["p"],
        hidden_act=variant.activation,
        attention_dropout=0.1 if variant.dropout else 0.0,
        tie_word_embeddings=False,
    )
    return _build(LlamaForCausalLM, config, variant)


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
    model = _build(GPT2LMHeadModel, config, variant)
    for block in model.transformer.h:
        # heads of another width than h / a, so that what belongs to the heads is told from the residual stream
        block.attn.c_attn = Conv1D(3 * sizes["q"], sizes["h"])
        block.attn.c_proj = Conv1D(sizes["h"], sizes["q"])
        block.attn.split_size, block.attn.head_dim = sizes["q"], sizes["d"]
    return model.train()


def _family(name: str, **given: Any) -> Family:
    common: dict[str, Any] = {
        "implementation": "transformers",
        "name": name,
        "source": f"transformers@5.23.0 models/{name}/modeling_{name}.py",
        "symbols": _SYMBOLS,
        "sets": _SETS,
        "held_out": _HELD_OUT,
        "call": _language_model,
        "versions": ("torch", "transformers"),
    }
    return Family(**(common | given))


_PRE_NORM = {
    "input_layernorm": "norm",
    "post_attention_layernorm": "norm",
    "self_attn": "attention",
    "mlp": "mlp",
}

FAMILIES = (
    _family(
        "llama",
        describes={
            "norm": "rmsnorm",
            "gated_mlp": True,
            "activation": "silu",
            "position": "rotary",
            "bias": False,
            "tie_word_embeddings": False,
        },
        build=_llama,
        stacks=(Stack(name="layer", path="model.layers", places=_PRE_NORM),),
        activations=("silu", "gelu", "gelu_new", "relu"),
    ),
    _family(
        "gpt2",
        describes={
            "norm": "layernorm",
            "gated_mlp": False,
            "activation": "gelu_new",
            "position": "learned",
            "bias": True,
            "tie_word_embeddings": True,
        },
        build=_gpt2,
        stacks=(
            Stack(
                name="layer",
                path="transformer.h",
                places={"ln_1": "norm", "ln_2": "norm", "attn": "attention", "mlp": "mlp"},
            ),
        ),
        activations=("gelu_new", "gelu", "relu", "silu"),
    ),
)
