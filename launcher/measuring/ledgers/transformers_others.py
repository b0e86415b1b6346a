"""Encoders, image encoders and encoder-decoders of Hugging Face transformers; torch is imported when one is built."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from launcher.measuring.ledgers.family import Sizes, Stack, Variant
from launcher.measuring.ledgers.sizes import HELD_OUT, SETS, of_images
from launcher.measuring.ledgers.transformers_models import built, describes, family

__all__ = ["OTHERS", "pairs"]


def _bert(sizes: Sizes, variant: Variant) -> Any:
    from torch import nn
    from transformers import BertConfig, BertForMaskedLM

    p = 0.1 if variant.dropout else 0.0
    config = BertConfig(
        vocab_size=sizes["V"],
        hidden_size=sizes["h"],
        intermediate_size=sizes["f"],
        num_hidden_layers=3,
        num_attention_heads=sizes["a"],
        max_position_embeddings=sizes["p"],
        hidden_act=variant.activation,
        hidden_dropout_prob=p,
        attention_probs_dropout_prob=p,
    )
    model = built(BertForMaskedLM, config, variant)
    for layer in model.bert.encoder.layer:
        # heads of another width than h / a, so that what belongs to the heads is told from the residual stream
        attention = layer.attention.self
        attention.query, attention.key, attention.value = (
            nn.Linear(sizes["h"], sizes["q"]) for _ in range(3)
        )
        attention.attention_head_size, attention.all_head_size = sizes["d"], sizes["q"]
        layer.attention.output.dense = nn.Linear(sizes["q"], sizes["h"])
    return model.train()


def _vit(sizes: Sizes, variant: Variant) -> Any:
    from transformers import ViTConfig, ViTForImageClassification

    p = 0.1 if variant.dropout else 0.0
    config = ViTConfig(
        hidden_size=sizes["h"],
        intermediate_size=sizes["f"],
        num_hidden_layers=3,
        num_attention_heads=sizes["a"],
        head_dim=sizes["d"],
        hidden_act=variant.activation,
        hidden_dropout_prob=p,
        attention_probs_dropout_prob=p,
        image_size=sizes["grid"] * sizes["P"],
        patch_size=sizes["P"],
        num_labels=sizes["n"],
    )
    return built(ViTForImageClassification, config, variant)


def _images(model: Any, sizes: Sizes, _: Variant) -> Callable[[], Any]:
    import torch

    side = sizes["grid"] * sizes["P"]
    pixels = torch.randn(sizes["b"], 3, side, side, dtype=next(model.parameters()).dtype)
    labels = torch.randint(0, sizes["n"], (sizes["b"],))

    def forward() -> Any:
        output = model(pixel_values=pixels, labels=labels)
        return output.loss, output.logits

    return forward


def _t5(**extra: Any) -> Callable[[Sizes, Variant], Any]:
    def build(sizes: Sizes, variant: Variant) -> Any:
        from transformers import T5Config, T5ForConditionalGeneration

        gate = "gated-" if extra.get("gated") else ""
        config = T5Config(
            vocab_size=sizes["V"],
            d_model=sizes["h"],
            d_kv=sizes["d"],
            d_ff=sizes["f"],
            num_layers=3,
            num_heads=sizes["a"],
            dropout_rate=0.1 if variant.dropout else 0.0,
            feed_forward_proj=gate + variant.activation,
            tie_word_embeddings=not gate,
            decoder_start_token_id=0,
        )
        config.dense_act_fn = variant.activation
        return built(T5ForConditionalGeneration, config, variant)

    return build


def pairs(model: Any, sizes: Sizes, variant: Variant) -> Callable[[], Any]:
    """One forward pass over tokens of an input and of a target; with a mask the first input is two tokens shorter."""
    import torch

    ids = torch.randint(0, sizes["V"], (sizes["b"], sizes["s"]))
    given: dict[str, Any] = {
        "input_ids": ids,
        "labels": torch.randint(0, sizes["V"], (sizes["b"], sizes["r"])),
    }
    if variant.mask:
        given["attention_mask"] = torch.ones_like(ids)
        given["attention_mask"][0, -2:] = 0

    def forward() -> Any:
        output = model(**given)
        return output.loss, output.logits

    return forward


_T5_STACKS = (
    Stack(
        name="encoder",
        path="encoder.block",
        places={
            "layer.0": "attention",
            "layer.0.layer_norm": "norm",
            "layer.1": "mlp",
            "layer.1.layer_norm": "norm",
        },
    ),
    Stack(
        name="decoder",
        path="decoder.block",
        places={
            "layer.0": "attention",
            "layer.0.layer_norm": "norm",
            "layer.1": "cross",
            "layer.1.layer_norm": "norm",
            "layer.2": "mlp",
            "layer.2.layer_norm": "norm",
        },
    ),
)
_T5: dict[str, Any] = {
    "folder": "t5",
    "call": pairs,
    "stacks": _T5_STACKS,
    "symbols": ("t", "u", "h", "q", "f", "V", "a", "s", "r", "b", "d"),
    "first_parameters": ("embed", "shared", "encoder.final"),
    "masks": (False, True),
}

OTHERS = (
    family(
        "bert",
        describes=describes("layernorm", "gelu", "learned", gated=False, bias=True, tied=True),
        build=_bert,
        stacks=(
            Stack(
                name="layer",
                path="bert.encoder.layer",
                places={
                    "attention": "attention",
                    "attention.output.LayerNorm": "norm",
                    "intermediate": "mlp",
                    "output": "mlp",
                    "output.LayerNorm": "norm",
                },
            ),
        ),
        activations=("gelu", "gelu_new", "relu"),
        masks=(False, True),
    ),
    family(
        "vit",
        describes=describes("layernorm", "gelu", "learned", gated=False, bias=True, tied=False),
        build=_vit,
        call=_images,
        stacks=(
            Stack(
                name="layer",
                path="vit.layers",
                places={
                    "layernorm_before": "norm",
                    "layernorm_after": "norm",
                    "attention": "attention",
                    "mlp": "mlp",
                    "dropout": "mlp",
                },
            ),
        ),
        activations=("gelu",),
        symbols=("t", "h", "q", "f", "a", "s", "b", "d", "n", "P"),
        sets=of_images(SETS),
        held_out=of_images(HELD_OUT),
    ),
    family(
        "t5",
        describes=describes("rmsnorm", "relu", "relative", gated=False, bias=False, tied=True),
        build=_t5(),
        activations=("relu", "gelu", "gelu_new"),
        **_T5,
    ),
    family(
        "t5_v1_1",
        describes=describes("rmsnorm", "gelu_new", "relative", gated=True, bias=False, tied=True),
        build=_t5(gated=True),
        activations=("gelu_new", "gelu", "silu"),
        **_T5,
    ),
)
