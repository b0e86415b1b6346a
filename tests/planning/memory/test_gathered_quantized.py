"""What FSDP gathers of a quantized base, and what ZeRO-3's step leaves in the allocator's cache."""

from __future__ import annotations

from dataclasses import replace

import pytest

from launcher.planning.memory.estimate import estimate_memory
from launcher.planning.memory.network import Network
from launcher.planning.memory.setting import Formats, Layout, Setting
from launcher.spec.model import Adapter

LINEAR = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")
LLAMA = Network(
    kind="decoder", family="llama", hidden_size=1024, num_layers=8, num_attention_heads=8, num_key_value_heads=8,
    head_dim=128, intermediate_size=4096, vocab_size=1000, gated_mlp=True, activation="silu", norm="rmsnorm",
    position="rotary", tie_word_embeddings=False, adapter=Adapter(rank=8, targets=LINEAR),
)  # fmt: skip
BASE = LLAMA.hidden_size * (4 * LLAMA.hidden_size + 3 * LLAMA.intermediate_size)
"""Weights of one layer that are quantized."""
PURE = Formats(compute="bf16", parameter_bytes=2, gradient_bytes=2, state_bytes=2, reduce_bytes=2)
FSDP = Setting(
    sequence_length=64,
    checkpointing="full",
    formats=PURE,
    layout=Layout(data=4, strategy="fsdp", zero_stage=3),
)


@pytest.mark.parametrize(("stage", "layers"), [(3, 2), (2, LLAMA.num_layers)])
def test_a_quantized_base_is_gathered_as_it_rests(stage: int, layers: int) -> None:
    """Two layers at a time (or all, kept after the forward pass) are whole in the bytes that nf4 takes, not in bf16."""
    setting = replace(FSDP, layout=replace(FSDP.layout, zero_stage=stage))
    quantized = replace(LLAMA, adapter=replace(LLAMA.adapter, quantization="nf4"))
    plain, packed = (
        estimate_memory(network=network, setting=setting).stages[0].components["gathered_parameters"]
        for network in (LLAMA, quantized)
    )
    saved_each = (plain - packed) / (layers * BASE)
    assert saved_each == pytest.approx(2 - 0.5625)  # blocks of 64 share a scale in fp32


def test_the_flat_gradients_of_zero_3_stand_beside_the_passes() -> None:
    """Their blocks fit none that the passes left, so the allocator comes to hold both; with FSDP nothing is flattened."""
    network = replace(LLAMA, adapter=None)
    formats = Formats(compute="bf16", parameter_bytes=2, gradient_bytes=2, master_bytes=4, reduce_bytes=2)
    zero = Setting(
        engine="deepspeed",
        sequence_length=64,
        checkpointing="full",
        formats=formats,
        layout=Layout(data=1, strategy="zero", zero_stage=3),
    )
    stage = estimate_memory(network=network, setting=zero).stages[0]
    passes = max(size for phase, size in stage.phases.items() if phase != "optimizer-step")
    assert stage.cached - passes > 4 * 8 * BASE
    plain = estimate_memory(network=network, setting=FSDP).stages[0]
    assert plain.cached == plain.allocated
