"""Public models by name: their dimensions in the words of a recipe, with a source and their size as a check.

`model.preset` names a row. Dimensions are those of the configuration published with the weights.
"""

from __future__ import annotations

from typing import Any, NamedTuple

__all__ = ["PRESETS", "Preset"]


class Preset(NamedTuple):
    """One model."""

    hidden_size: int | None
    model: dict[str, Any]
    """Keys of `model`."""
    num_parameters: int | None
    """As the published weights count; what the formulas must give. None where a user's own row does not say."""
    source: str
    """Hugging Face repository whose config.json has these numbers, or the publication."""


def _gpt2(hidden: int, layers: int, heads: int, count: int, repository: str) -> Preset:
    dims = {"num_layers": layers, "num_attention_heads": heads, "vocab_size": 50257}
    style = {"family": "gpt2", "activation": "gelu_new", "max_position_embeddings": 1024}
    return Preset(hidden, {**dims, **style, "bias": True}, count, repository)


def _llama(dims: tuple[int, int, int, int, int, int], count: int, repository: str, **more: Any) -> Preset:
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


def _neox(dims: tuple[int, int, int, int], count: int, repository: str) -> Preset:
    """dims: hidden, layers, heads, vocabulary."""
    hidden, layers, heads, vocab = dims
    model = {"num_layers": layers, "num_attention_heads": heads, "vocab_size": vocab, "family": "gpt_neox"}
    style = {"position": "rotary", "tie_word_embeddings": False}
    return Preset(hidden, {**model, **style}, count, repository)


def _vit(hidden: int, layers: int, heads: int, count: int) -> Preset:
    dims = {"kind": "vit", "num_layers": layers, "num_attention_heads": heads}
    image = {"image_size": 224, "patch_size": 16, "num_classes": 1000}
    return Preset(
        hidden, {**dims, **image}, count, "pytorch/vision@v0.20 torchvision/models/vision_transformer.py"
    )


def _resnet(depth: int, count: int) -> Preset:
    model = {"kind": "resnet", "depth": depth, "image_size": 224, "num_classes": 1000}
    return Preset(None, model, count, "pytorch/vision@v0.20 torchvision/models/resnet.py")


_MIXTRAL = {"family": "mixtral", "kind": "moe", "num_experts": 8, "num_experts_per_token": 2}
_QWEN = {"family": "qwen2"}
_GEMMA = {"family": "gemma", "activation": "gelu", "tie_word_embeddings": True, "head_dim": 256}

PRESETS: dict[str, Preset] = {
    "gpt2": _gpt2(768, 12, 12, 124_439_808, "openai-community/gpt2"),
    "gpt2-medium": _gpt2(1024, 24, 16, 354_823_168, "openai-community/gpt2-medium"),
    "gpt2-large": _gpt2(1280, 36, 20, 774_030_080, "openai-community/gpt2-large"),
    "gpt2-xl": _gpt2(1600, 48, 25, 1_557_611_200, "openai-community/gpt2-xl"),
    "llama-2-7b": _llama((4096, 32, 32, 32, 11008, 32000), 6_738_415_616, "meta-llama/Llama-2-7b-hf"),
    "llama-2-13b": _llama((5120, 40, 40, 40, 13824, 32000), 13_015_864_320, "meta-llama/Llama-2-13b-hf"),
    "llama-2-70b": _llama((8192, 80, 64, 8, 28672, 32000), 68_976_648_192, "meta-llama/Llama-2-70b-hf"),
    "llama-3-8b": _llama((4096, 32, 32, 8, 14336, 128256), 8_030_261_248, "meta-llama/Meta-Llama-3-8B"),
    "llama-3-70b": _llama((8192, 80, 64, 8, 28672, 128256), 70_553_706_496, "meta-llama/Meta-Llama-3-70B"),
    "llama-3.1-405b": _llama(
        (16384, 126, 128, 8, 53248, 128256), 405_853_388_800, "meta-llama/Llama-3.1-405B"
    ),
    "llama-3.2-1b": _llama(
        (2048, 16, 32, 8, 8192, 128256), 1_235_814_400, "meta-llama/Llama-3.2-1B", tie_word_embeddings=True
    ),
    "llama-3.2-3b": _llama(
        (3072, 28, 24, 8, 8192, 128256), 3_212_749_824, "meta-llama/Llama-3.2-3B", tie_word_embeddings=True
    ),
    "tinyllama-1.1b": _llama(
        (2048, 22, 32, 4, 5632, 32000), 1_100_048_384, "TinyLlama/TinyLlama-1.1B-intermediate-step-1431k-3T"
    ),
    "mistral-7b": _llama(
        (4096, 32, 32, 8, 14336, 32000), 7_241_732_096, "mistralai/Mistral-7B-v0.1", family="mistral"
    ),
    "mixtral-8x7b": _llama(
        (4096, 32, 32, 8, 14336, 32000), 46_702_792_704, "mistralai/Mixtral-8x7B-v0.1", **_MIXTRAL
    ),
    "qwen2.5-0.5b": _llama(
        (896, 24, 14, 2, 4864, 151936), 494_032_768, "Qwen/Qwen2.5-0.5B", **_QWEN, tie_word_embeddings=True
    ),
    "qwen2.5-1.5b": _llama(
        (1536, 28, 12, 2, 8960, 151936), 1_543_714_304, "Qwen/Qwen2.5-1.5B", **_QWEN, tie_word_embeddings=True
    ),
    "qwen2.5-7b": _llama((3584, 28, 28, 4, 18944, 152064), 7_615_616_512, "Qwen/Qwen2.5-7B", **_QWEN),
    "qwen2.5-72b": _llama((8192, 80, 64, 8, 29568, 152064), 72_706_203_648, "Qwen/Qwen2.5-72B", **_QWEN),
    "qwen3-8b": _llama(
        (4096, 36, 32, 8, 12288, 151936), 8_190_735_360, "Qwen/Qwen3-8B", family="qwen3", head_dim=128
    ),
    "gemma-2b": _llama((2048, 18, 8, 1, 16384, 256000), 2_506_172_416, "google/gemma-2b", **_GEMMA),
    "gemma-7b": _llama((3072, 28, 16, 16, 24576, 256000), 8_537_680_896, "google/gemma-7b", **_GEMMA),
    "pythia-160m": _neox((768, 12, 12, 50304), 162_322_944, "EleutherAI/pythia-160m"),
    "pythia-1.4b": _neox((2048, 24, 16, 50304), 1_414_647_808, "EleutherAI/pythia-1.4b"),
    "pythia-6.9b": _neox((4096, 32, 32, 50432), 6_857_302_016, "EleutherAI/pythia-6.9b"),
    "pythia-12b": _neox((5120, 36, 40, 50688), 11_846_072_320, "EleutherAI/pythia-12b"),
    "vit-b-16": _vit(768, 12, 12, 86_567_656),
    "vit-l-16": _vit(1024, 24, 16, 304_326_632),
    "resnet-18": _resnet(18, 11_689_512),
    "resnet-50": _resnet(50, 25_557_032),
    "resnet-101": _resnet(101, 44_549_160),
}
"""Every model a recipe may name."""
