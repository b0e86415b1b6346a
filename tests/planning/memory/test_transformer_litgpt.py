"""LitGPT's published peaks on A100 40 GB: torch.cuda.max_memory_allocated in decimal gigabytes.

Source: Lightning-AI/litgpt@26857050 tutorials/resource-tables.md lines 41-61 (LoRA, one micro-batch of Alpaca's longest
sample), extensions/thunder/README.md lines 551-563 (TinyLlama, 4 x 2048 tokens).
"""

from __future__ import annotations

from dataclasses import replace

import pytest

from launcher.planning.memory.estimate import estimate_memory
from launcher.planning.memory.network import Network
from launcher.planning.memory.setting import Formats, Layout, Setting
from launcher.spec.model import Adapter

PURE = Formats(compute="bf16", parameter_bytes=2, gradient_bytes=2, state_bytes=2, reduce_bytes=2)
TINY = Network(
    kind="decoder", implementation="litgpt", hidden_size=2048, num_layers=22, num_attention_heads=32,
    num_key_value_heads=4, head_dim=64, intermediate_size=5632, vocab_size=32000, gated_mlp=True,
    activation="silu", norm="rmsnorm", position="rotary", tie_word_embeddings=False,
)  # fmt: skip
LLAMA_13B = replace(
    TINY, hidden_size=5120, num_layers=40, num_attention_heads=40, num_key_value_heads=40, head_dim=128,
    intermediate_size=13824, adapter=Adapter(rank=8),
)  # fmt: skip
PHI = Network(
    kind="decoder", implementation="litgpt", family="phi", hidden_size=2048, num_layers=24, num_attention_heads=32,
    head_dim=64, intermediate_size=8192, vocab_size=51200, position="rotary", tie_word_embeddings=False,
    adapter=Adapter(rank=8),
)  # fmt: skip
STABLELM = replace(
    PHI, family="gpt_neox", hidden_size=4096, num_layers=16, head_dim=128, intermediate_size=16384,
    vocab_size=50688,
)  # fmt: skip
PRETRAINING = Setting(
    micro_batch_size=4,
    sequence_length=2048,
    gradient_accumulation_steps=4,
    attention="flash",
    optimizer_implementation="fused",
    formats=PURE,
)


def tuning(batch: int, length: int) -> Setting:
    return Setting(
        micro_batch_size=batch,
        sequence_length=length,
        gradient_accumulation_steps=128 // batch,
        attention="flash",
        logits="chunked",
        formats=PURE,
    )


@pytest.mark.parametrize(
    ("network", "setting", "published"),
    [
        (TINY, PRETRAINING, 29.84),
        (TINY, replace(PRETRAINING, compile=True), 22.19),
        (TINY, replace(PRETRAINING, layout=Layout(data=8)), 32.04),
        (PHI, tuning(1, 1044), 4.82),
        (PHI, tuning(2, 1044), 6.76),
        (PHI, tuning(4, 1044), 10.68),
        (STABLELM, tuning(1, 1034), 9.69),
        (STABLELM, tuning(2, 1034), 12.10),
        (STABLELM, tuning(4, 1034), 16.92),
        (LLAMA_13B, tuning(1, 1304), 38.12),
    ],
    ids=[
        "tinyllama", "compiled", "ddp", "phi 1", "phi 2", "phi 4", "stablelm 1", "stablelm 2", "stablelm 4", "13b"
    ],
)  # fmt: skip
def test_published_peaks_come_out_within_three_per_cent(
    network: Network, setting: Setting, published: float
) -> None:
    """Another library's modules, adapters and compiled kernels on real GPUs; every byte of them has its line of source."""
    estimate = estimate_memory(network=network, setting=setting)
    assert estimate.allocated.expected / 1e9 == pytest.approx(published, rel=0.03)
