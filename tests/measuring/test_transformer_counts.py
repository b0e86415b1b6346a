"""Parameters of every transformer family against the real library's modules, built without memory."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from transformer_models import built

from launcher.planning.memory.counting import count_parameters
from launcher.planning.memory.kinds.families import FAMILIES
from launcher.planning.memory.network import Network

pytestmark = pytest.mark.torch


def network_of(name: str) -> Network:
    family = FAMILIES[name]
    moe = family.kind == "moe"
    latent = name == "deepseek_v3"
    grouped = name in (
        "llama",
        "mistral",
        "qwen2",
        "qwen3",
        "gemma",
        "gemma2",
        "phi3",
        "mixtral",
        "qwen3_moe",
    )
    return Network(
        kind=family.kind,
        family=name,
        hidden_size=64,
        num_layers=3,
        num_attention_heads=4,
        num_key_value_heads=2 if grouped else 4,
        head_dim=16,
        intermediate_size=256 if name == "bloom" else 160,
        vocab_size=300,
        max_positions=96 if family.position == "learned" else 0,
        gated_mlp=family.gated,
        activation=family.activation,
        norm=family.norm,
        position=family.position if family.position in ("rotary", "learned") else "none",
        tie_word_embeddings=family.ties
        or name == "t5_v1_1",  # transformers 5.23 ties T5's whatever is written
        num_experts=8 if moe else 0,
        num_experts_per_token=2 if moe else 0,
        moe_intermediate_size=48 if moe else 0,
        num_shared_experts=1 if name in ("qwen2_moe", "deepseek_v3") else 0,
        shared_intermediate_size=56 if name == "qwen2_moe" else 0,
        first_dense_layers=1 if latent else 0,
        kv_latent_dim=24 if latent else 0,
        q_latent_dim=40 if latent else 0,
        rotary_dim=8 if latent else 0,
        value_dim=12 if latent else 0,
    )


@pytest.mark.parametrize("name", FAMILIES)
def test_a_family_has_the_parameters_of_its_real_modules(name: str) -> None:
    """Every parameter of the real module is counted, once."""
    network = network_of(name)
    with torch.device("meta"):
        real = sum(parameter.numel() for parameter in built(network).parameters())
    assert count_parameters(network).total == real


def test_latent_attention_without_a_query_latent() -> None:
    """DeepSeek's small models project queries straight from the residual stream."""
    network = replace(network_of("deepseek_v3"), q_latent_dim=0)
    with torch.device("meta"):
        real = sum(parameter.numel() for parameter in built(network).parameters())
    assert count_parameters(network).total == real
