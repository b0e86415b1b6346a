"""The first Qwen's own code: its loss in the format of the logits, and what autocast makes of that."""

from __future__ import annotations

from dataclasses import replace

import pytest

from launcher.planning.memory.estimate import estimate_memory
from launcher.planning.memory.network import Network
from launcher.planning.memory.overheads import fragmentation
from launcher.planning.memory.setting import Formats, Setting
from launcher.spec.model import Adapter

QWEN_7B = Network(
    kind="decoder", implementation="qwen", family="qwen2", hidden_size=4096, num_layers=32, num_attention_heads=32,
    num_key_value_heads=32, head_dim=128, intermediate_size=11008, vocab_size=152064, gated_mlp=True,
    activation="silu", norm="rmsnorm", position="rotary", tie_word_embeddings=False, adapter=Adapter(rank=64),
)  # fmt: skip
PURE = Formats(compute="bf16", parameter_bytes=2, gradient_bytes=2, state_bytes=2, reduce_bytes=2)
TOKENS = 4096
NARROW = Setting(sequence_length=TOKENS, attention="flash", checkpointing="full", formats=PURE)
WIDE = replace(NARROW, formats=replace(PURE, wide_loss=True))
LOGITS = TOKENS * QWEN_7B.vocab_size


@pytest.mark.parametrize(("setting", "each"), [(NARROW, 6), (WIDE, 12)])
def test_the_loss_is_in_the_format_of_the_logits(setting: Setting, each: int) -> None:
    """Log-softmax and two gradients are held at once, of 2 bytes a number, or 4 where autocast widens them."""
    assert estimate_memory(network=QWEN_7B, setting=setting).components["logits"] == each * LOGITS


def test_blocks_of_16_bits_do_not_hold_gradients_of_32() -> None:
    """Under autocast the allocator keeps the logits and their copy beside all that comes after."""
    found = estimate_memory(network=QWEN_7B, setting=WIDE)
    beside = found.reserved.expected - found.allocated.expected * fragmentation(WIDE).expected
    assert beside == pytest.approx(4 * LOGITS * fragmentation(WIDE).expected, rel=1e-6)
    narrow = estimate_memory(network=QWEN_7B, setting=NARROW)
    assert narrow.reserved.expected == pytest.approx(
        narrow.allocated.expected * fragmentation(NARROW).expected, rel=1e-6
    )


def test_newer_code_takes_the_loss_in_fp32_anyway() -> None:
    """Today's transformers widens the logits itself, so autocast over 16-bit weights changes nothing."""
    newer = replace(QWEN_7B, implementation="transformers")
    one, other = (estimate_memory(network=newer, setting=setting) for setting in (NARROW, WIDE))
    assert one == other


@pytest.mark.parametrize(
    ("length", "published"),
    [(256, 20.1), (512, 20.4), (1024, 21.5), (2048, 23.8), (4096, 29.7), (8192, 36.6)],
)
def test_published_profile(length: int, published: float) -> None:
    """LoRA over bf16 weights under autocast, on one A100: within 10 %.

    Source: QwenLM/Qwen@2df8e8ac README.md "Profiling of Memory and Speed", Qwen-7B LoRA.
    """
    formats = replace(PURE, gradient_bytes=4, master_bytes=2, state_bytes=4, wide_loss=True)
    network = replace(
        QWEN_7B,
        adapter=Adapter(
            rank=64,
            targets=("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"),
        ),
    )
    setting = replace(NARROW, sequence_length=length, gradient_accumulation_steps=8, formats=formats)
    found = estimate_memory(network=network, setting=setting)
    held = found.reserved.expected + found.components["context"]
    assert held == pytest.approx(published * 1000 * 2**20, rel=0.10)
