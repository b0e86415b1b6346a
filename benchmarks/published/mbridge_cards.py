"""Megatron-Bridge skill and model cards: runs with a peak of allocated memory, and runs that ran out of it.

Gigabytes are decimal, five digits of max_memory_allocated.
Source: NVIDIA-NeMo/Megatron-Bridge@067f987d skills/*/card.yaml; src/megatron/bridge/training/utils/train_utils.py:
report_memory.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from published.case import GB, MIB, Case, whole

from launcher.planning.memory.network import Network
from launcher.planning.memory.setting import Formats, Layout, Setting

__all__ = ["TITLE", "map_row"]

TITLE = "Megatron-Bridge cards"

MOONLIGHT = Network(
    kind="moe",
    implementation="megatron",
    hidden_size=2048,
    num_layers=27,
    num_attention_heads=16,
    num_key_value_heads=16,
    head_dim=128,
    rotary_dim=64,
    value_dim=128,
    kv_latent_dim=512,
    intermediate_size=11264,
    vocab_size=163840,
    gated_mlp=True,
    activation="silu",
    norm="rmsnorm",
    position="rotary",
    tie_word_embeddings=False,
    bias=False,
    num_experts=64,
    num_experts_per_token=6,
    moe_intermediate_size=1408,
    shared_intermediate_size=2816,
    first_dense_layers=1,
)
"""Source: config.json of moonshotai/Moonlight-16B-A3B."""

_HYBRID = ("Nemotron", "nemotron", "gemma", "qwen3.8", "GPT-OSS")
"""Mamba layers, a vision tower, linear attention, attention sinks."""


def map_row(row: Mapping[str, str]) -> Case | str:
    """One card's experiment."""
    model = row["model"]
    if model.startswith(_HYBRID):
        return "no-kind"
    if row["precision"].startswith("FP8"):
        return "no-method"
    if model != "Moonlight 16B":
        return "no-batch"
    return Case(
        network=MOONLIGHT,
        setting=_moonlight(row),
        quantity="allocated",
        measured=float(row["peak_mem_gb"]) * GB,
        outcome="ran",
        device="h100-sxm-80gb",
        known=True,
    )


def _moonlight(row: Mapping[str, str]) -> Setting:
    """The recipe moonlight_16b_pretrain_config: 16-bit gradients and optimizer states beside fp32 weights.

    Source: NVIDIA-NeMo/Megatron-Bridge@067f987d src/megatron/bridge/recipes/moonlight/moonlight_16b.py.
    """
    modules = re.findall(r"\w+", row["act_ckpt"].partition("(")[2])
    data = whole(row["dp"])
    return Setting(
        engine="megatron",
        micro_batch_size=1,
        sequence_length=whole(row["seq_len"]),
        gradient_accumulation_steps=whole(row["global_batch"]) // data,
        attention="sdpa",
        checkpointing="selective" if modules else "none",
        recomputed_modules=tuple(modules),
        logits="fused",
        # cuBLAS of two threads, Transformer Engine's own and four for grouped products: 32 MiB each on Hopper
        workspace_bytes=7 * 32 * MIB,
        formats=Formats(
            compute="bf16", parameter_bytes=2, gradient_bytes=2, master_bytes=4, state_bytes=2, reduce_bytes=2
        ),
        layout=Layout(
            data=data,
            tensor=whole(row["tp"]),
            expert=whole(row["ep"]),
            expert_tensor=1,
            sequence_parallel=True,
            strategy="zero",
            zero_stage=1,
        ),
    )
