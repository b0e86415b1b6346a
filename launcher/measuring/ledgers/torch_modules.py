"""Transformers made of torch.nn's own layers, with learned positions before and a linear head behind.

torch is imported when one is built.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from launcher.measuring.ledgers.family import Family, Sizes, Stack, Variant
from launcher.measuring.ledgers.sizes import HELD_OUT, SETS, of_equal_width
from launcher.measuring.ledgers.transformers_models import describes

__all__ = ["TORCH"]


def _build(*, decoder: bool) -> Callable[[Sizes, Variant], Any]:
    def build(sizes: Sizes, variant: Variant) -> Any:
        from torch import nn

        options: dict[str, Any] = {
            "d_model": sizes["h"],
            "nhead": sizes["a"],
            "dim_feedforward": sizes["f"],
            "dropout": 0.1 if variant.dropout else 0.0,
            "activation": variant.activation,
            "batch_first": True,
        }
        parts = {
            "embed_tokens": nn.Embedding(sizes["V"], sizes["h"]),
            "embed_positions": nn.Embedding(sizes["p"], sizes["h"]),
            "embed_dropout": nn.Dropout(options["dropout"]),
            "encoder": nn.TransformerEncoder(
                nn.TransformerEncoderLayer(**options), 3, enable_nested_tensor=False
            ),
            "head": nn.Linear(sizes["h"], sizes["V"]),
        }
        if decoder:
            parts["decoder"] = nn.TransformerDecoder(nn.TransformerDecoderLayer(**options), 3)
        return nn.ModuleDict(parts).train()

    return build


def _embedded(model: Any, ids: Any) -> Any:
    import torch

    positions = torch.arange(ids.shape[1])
    return model["embed_dropout"](model["embed_tokens"](ids) + model["embed_positions"](positions))


def _encoder(model: Any, sizes: Sizes, _: Variant) -> Callable[[], Any]:
    import torch
    from torch.nn import functional

    ids = torch.randint(0, sizes["V"], (sizes["b"], sizes["s"]))
    labels = torch.randint(0, sizes["V"], (sizes["b"] * sizes["s"],))

    def forward() -> Any:
        logits = model["head"](model["encoder"](_embedded(model, ids)))
        return functional.cross_entropy(logits.float().flatten(0, 1), labels), logits

    return forward


def _pairs(model: Any, sizes: Sizes, _: Variant) -> Callable[[], Any]:
    import torch
    from torch import nn
    from torch.nn import functional

    ids = torch.randint(0, sizes["V"], (sizes["b"], sizes["s"]))
    targets = torch.randint(0, sizes["V"], (sizes["b"], sizes["r"]))
    labels = torch.randint(0, sizes["V"], (sizes["b"] * sizes["r"],))
    causal = nn.Transformer.generate_square_subsequent_mask(sizes["r"])

    def forward() -> Any:
        memory = model["encoder"](_embedded(model, ids))
        output = model["decoder"](_embedded(model, targets), memory, tgt_mask=causal, tgt_is_causal=True)
        logits = model["head"](output)
        return functional.cross_entropy(logits.float().flatten(0, 1), labels), logits

    return forward


def _layers(name: str, **more: str) -> Stack:
    places = {"self_attn": "attention", "dropout1": "attention", "norm1": "norm", "norm2": "norm", **more}
    return Stack(
        name="layer" if name == "" else name, path=f"{name or 'encoder'}.layers", places=places, rest="mlp"
    )


_COMMON: dict[str, Any] = {
    "implementation": "torch",
    "sets": of_equal_width(SETS),
    "held_out": of_equal_width(HELD_OUT),
    "activations": ("relu", "gelu"),
    # nn.TransformerEncoderLayer asks for no weights, so it always takes scaled_dot_product_attention
    "attentions": ("sdpa",),
    # attention is as wide as the residual stream here; its core belongs to the heads
    "rename": {"core": {"h": "q"}, "cross_core": {"h": "q"}},
}
_DESCRIBES = describes("layernorm", "relu", "learned", gated=False, bias=True, tied=False)

TORCH = (
    Family(
        name="encoder",
        source="torch@2.13.0 torch/nn/modules/transformer.py:TransformerEncoderLayer",
        describes={"kind": "encoder", **_DESCRIBES},
        symbols=("t", "h", "f", "V", "a", "s", "b", "p"),
        build=_build(decoder=False),
        call=_encoder,
        stacks=(_layers(""),),
        **_COMMON,
    ),
    Family(
        name="encoder_decoder",
        source="torch@2.13.0 torch/nn/modules/transformer.py:TransformerEncoderLayer, TransformerDecoderLayer",
        describes={"kind": "encoder-decoder", **_DESCRIBES},
        symbols=("t", "u", "h", "f", "V", "a", "s", "r", "b", "p"),
        build=_build(decoder=True),
        call=_pairs,
        stacks=(
            _layers("encoder"),
            _layers("decoder", multihead_attn="cross", dropout2="cross", norm3="norm"),
        ),
        **_COMMON,
    ),
)
