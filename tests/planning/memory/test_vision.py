"""Vision transformers in parts: torchvision's and Hugging Face's."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from launcher.planning.memory.kinds.vision import vit
from launcher.planning.memory.network import Network
from launcher.planning.memory.setting import Formats, Setting

BASE = Network(kind="vit", implementation="torch", hidden_size=768, num_layers=12, num_attention_heads=12)
LARGE = replace(BASE, hidden_size=1024, num_layers=24, num_attention_heads=16)
FP32 = Setting(device_kind="cuda", micro_batch_size=2, formats=Formats(compute="fp32"))
BF16 = replace(FP32, formats=Formats(compute="bf16", parameter_bytes=2))
TOKENS = 197


def saved(parts):
    """Bytes kept by all copies of all parts."""
    return sum(part.repeat * part.saved for part in parts)


@pytest.mark.parametrize("implementation", ["torch", "transformers"])
@pytest.mark.parametrize(("network", "parameters"), [(BASE, 86_567_656), (LARGE, 304_326_632)])
def test_parameters_are_torchvisions(network, parameters, implementation):
    """ViT-B/16 and ViT-L/16. Source: torchvision@0.26 torchvision/models/vision_transformer.py, `num_params`."""
    parts = vit(replace(network, implementation=implementation), FP32)
    assert sum(part.repeat * weight.count for part in parts for weight in part.weights) == parameters


def test_absent_sizes_are_those_of_vit_16():
    """Patches of 16 of 224 pixels, 1000 classes, a feed-forward layer four times as wide."""
    written = replace(BASE, image_size=224, patch_size=16, num_classes=1000, intermediate_size=3072)
    assert vit(BASE, FP32) == vit(written, FP32)


@pytest.mark.parametrize(
    ("setting", "maps"), [(replace(FP32, device_kind="cpu"), 16), (FP32, 17), (BF16, 16)]
)
def test_a_layer_keeps_16_maps(setting, maps):
    """Eight of the width (stream twice, two norms, query, key, value, result) and two of four widths; statistics beside.

    The memory-efficient kernel that CUDA runs in fp32 leaves its result in an order that the next product copies.
    """
    _, layer, _ = vit(BASE, setting)
    width = 2 if setting is BF16 else 4
    tokens = 2 * TOKENS
    assert layer.saved == tokens * (maps * 768 * width + 4 * 4 + 12 * 4)
    assert layer.boundary == tokens * 768 * width


def test_hugging_face_keeps_the_same_maps_in_its_ledger():
    """The ledger's layer, measured on real modules, agrees with the formula for torchvision's."""
    _, ledger, _ = vit(replace(BASE, implementation="transformers"), BF16)
    _, formula, _ = vit(BASE, BF16)
    assert ledger.saved == pytest.approx(formula.saved, rel=0.01)
    assert "transformers/vit" in ledger.source


def test_dropout_costs_a_byte_on_a_gpu():
    """Masks after attention, inside and after the feed-forward layer: six widths; attention's own stays in flash."""
    _, without, _ = vit(BASE, BF16)
    _, layer, _ = vit(replace(BASE, dropout=0.1), BF16)
    # and the dropped copy of GELU's result, which the next product keeps instead of it
    assert layer.saved - without.saved == 2 * TOKENS * 6 * 768


def test_eager_attention_keeps_scores():
    """Scores, a scaled query instead of a log-sum-exp, and a copy of the result; selective checkpointing drops scores."""
    _, flash, _ = vit(BASE, BF16)
    _, eager, _ = vit(BASE, replace(BF16, attention="eager"))
    scores = 2 * 12 * TOKENS * TOKENS * 2
    assert eager.saved - flash.saved == scores + 2 * TOKENS * (768 * 2 - 12 * 4)
    assert eager.core >= scores


@given(
    heads=st.integers(1, 4),
    layers=st.integers(1, 6),
    images=st.integers(1, 16),
    side=st.integers(2, 14),
    device=st.sampled_from(["cpu", "cuda"]),
    implementation=st.sampled_from(["torch", "transformers"]),
    dropout=st.sampled_from([0.0, 0.1]),
)
def test_more_of_anything_keeps_more(*, heads, layers, images, side, device, implementation, dropout):
    """Saved bytes grow with batch, pixels, width and depth, and a checkpointed layer keeps less than a whole one."""
    setting = Setting(device_kind=device, micro_batch_size=images, formats=Formats(compute="fp32"))
    network = Network(
        kind="vit",
        implementation=implementation,
        hidden_size=64 * heads,
        num_attention_heads=heads,
        num_layers=layers,
        image_size=16 * side,
        dropout=dropout,
    )
    here = saved(vit(network, setting))
    wider = replace(network, hidden_size=64 * (heads + 1), num_attention_heads=heads + 1)
    assert here < saved(vit(network, replace(setting, micro_batch_size=images + 1)))
    assert here < saved(vit(replace(network, image_size=16 * side + 16), setting))
    assert here < saved(vit(wider, setting))
    assert here < saved(vit(replace(network, num_layers=layers + 1), setting))
    assert all(part.boundary < part.saved for part in vit(network, setting) if part.checkpointable)
