"""What the models of one family have in common: rows of the catalog from a few dimensions."""

from __future__ import annotations

from typing import Any, NamedTuple

__all__ = [
    "Preset",
    "bart",
    "bert",
    "bloom",
    "gpt2",
    "gpt3",
    "llama",
    "neox",
    "opt",
    "phi",
    "resnet",
    "roberta",
    "t5",
    "vit",
]

GPT3 = "Brown et al. 2020, arXiv:2005.14165, table 2.1"


class Preset(NamedTuple):
    """One model."""

    hidden_size: int | None
    model: dict[str, Any]
    """Keys of `model`."""
    num_parameters: int | None
    """As the published weights count; what the formulas must give. None where a user's own row does not say."""
    source: str
    """Hugging Face repository whose config.json has these numbers, or the publication."""


def _learned(dims: tuple[int, int, int, int, int], count: int, source: str, **more: Any) -> Preset:
    """Layer norms, biases, learned positions. dims: hidden, layers, heads, vocabulary, positions."""
    hidden, layers, heads, vocab, positions = dims
    model = {"num_layers": layers, "num_attention_heads": heads, "vocab_size": vocab}
    style = {"max_position_embeddings": positions, "bias": True}
    return Preset(hidden, {**model, **style, **more}, count, source)


def gpt2(hidden: int, layers: int, heads: int, count: int, source: str, *, positions: int = 1024) -> Preset:
    """GPT-2's network, with tied embeddings."""
    style = {"family": "gpt2", "activation": "gelu_new"}
    return _learned((hidden, layers, heads, 50257, positions), count, source, **style)


def gpt3(hidden: int, layers: int, heads: int, count: int) -> Preset:
    """No weights are published: the count is GPT-2's network at these dimensions, which the paper rounds.

    Heads are as wide as the paper says where that divides the width: it prints a width of 5,140 for 40 heads of 128,
    and 24 heads of 128 for a width of 2,048.
    """
    return gpt2(hidden, layers, heads, count, GPT3, positions=2048)


def opt(hidden: int, layers: int, heads: int, count: int, source: str) -> Preset:
    """Meta's, with two rows of positions beyond the length."""
    style = {"family": "opt", "activation": "relu"}
    return _learned((hidden, layers, heads, 50272, 2048), count, source, **style)


def bert(hidden: int, layers: int, heads: int, count: int, source: str) -> Preset:
    """With the head that predicts masked tokens, which training has, and without the pooler that it has not."""
    style = {"kind": "encoder", "family": "bert", "activation": "gelu"}
    return _learned((hidden, layers, heads, 30522, 512), count, source, **style)


def roberta(hidden: int, layers: int, heads: int, count: int, source: str) -> Preset:
    """With the head that predicts masked tokens."""
    style = {"kind": "encoder", "family": "roberta", "activation": "gelu"}
    return _learned((hidden, layers, heads, 50265, 514), count, source, **style)


def bart(hidden: int, layers: int, heads: int, count: int, source: str) -> Preset:
    """layers: of each stack."""
    style = {"kind": "encoder-decoder", "family": "bart", "activation": "gelu"}
    return _learned((hidden, layers, heads, 50265, 1024), count, source, **style)


def bloom(hidden: int, layers: int, heads: int, count: int, source: str) -> Preset:
    """ALiBi: no positions to learn."""
    model = {"num_layers": layers, "num_attention_heads": heads, "vocab_size": 250880, "family": "bloom"}
    return Preset(hidden, {**model, "position": "none", "bias": True}, count, source)


def t5(dims: tuple[int, int, int, int, int], count: int, source: str, **more: Any) -> Preset:
    """dims: hidden, layers of each stack, heads, width of a head, intermediate."""
    hidden, layers, heads, head_dim, inner = dims
    model = {
        "kind": "encoder-decoder",
        "family": "t5",
        "num_layers": layers,
        "num_attention_heads": heads,
        "head_dim": head_dim,
        "intermediate_size": inner,
        "vocab_size": 32128,
        "norm": "rmsnorm",
        "activation": "relu",
        "position": "none",
    }
    return Preset(hidden, {**model, **more}, count, source)


def phi(hidden: int, layers: int, heads: int, count: int, source: str) -> Preset:
    """One norm a layer, and a bias in the output."""
    model = {"num_layers": layers, "num_attention_heads": heads, "vocab_size": 51200, "family": "phi"}
    style = {"position": "rotary", "activation": "gelu_new", "bias": True, "tie_word_embeddings": False}
    return Preset(hidden, {**model, **style}, count, source)


def llama(dims: tuple[int, int, int, int, int, int], count: int, repository: str, **more: Any) -> Preset:
    """dims: hidden, layers, heads, key-value heads, intermediate, vocabulary."""
    hidden, layers, heads, kv_heads, inner, vocab = dims
    style = {"norm": "rmsnorm", "gated_mlp": True, "activation": "silu", "position": "rotary"}
    model: dict[str, Any] = {
        "num_layers": layers,
        "num_attention_heads": heads,
        "num_key_value_heads": kv_heads,
        "intermediate_size": inner,
        "vocab_size": vocab,
        "family": "llama",
        "tie_word_embeddings": False,
        **style,
    }
    return Preset(hidden, {**model, **more}, count, repository)


def neox(dims: tuple[int, int, int, int], count: int, repository: str) -> Preset:
    """dims: hidden, layers, heads, vocabulary."""
    hidden, layers, heads, vocab = dims
    model = {"num_layers": layers, "num_attention_heads": heads, "vocab_size": vocab, "family": "gpt_neox"}
    style = {"position": "rotary", "tie_word_embeddings": False}
    return Preset(hidden, {**model, **style}, count, repository)


def vit(hidden: int, layers: int, heads: int, count: int) -> Preset:
    dims = {"kind": "vit", "num_layers": layers, "num_attention_heads": heads}
    image = {"image_size": 224, "patch_size": 16, "num_classes": 1000}
    return Preset(
        hidden, {**dims, **image}, count, "pytorch/vision@v0.20 torchvision/models/vision_transformer.py"
    )


def resnet(depth: int, count: int) -> Preset:
    model = {"kind": "resnet", "depth": depth, "image_size": 224, "num_classes": 1000}
    return Preset(None, model, count, "pytorch/vision@v0.20 torchvision/models/resnet.py")
