"""Residual networks in parts."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from launcher.planning.memory.estimate import estimate_memory
from launcher.planning.memory.kinds.residual import WORKSPACE, resnet
from launcher.planning.memory.network import Network
from launcher.planning.memory.setting import Formats, Setting

FP32 = Setting(device_kind="cpu", formats=Formats(compute="fp32"))


def network(depth, **more):
    """A ResNet."""
    return Network(kind="resnet", implementation="torch", depth=depth, **more)


def saved(parts):
    """Bytes kept by all copies of all parts."""
    return sum(part.repeat * part.saved for part in parts)


@pytest.mark.parametrize(
    ("depth", "parameters"),
    [(18, 11_689_512), (34, 21_797_672), (50, 25_557_032), (101, 44_549_160), (152, 60_192_808)],
)
def test_parameters_are_torchvisions(depth, parameters):
    """Source: torchvision@0.26 torchvision/models/resnet.py, `num_params` of every weight's metadata."""
    parts = resnet(network(depth), FP32)
    assert sum(part.repeat * weight.count for part in parts for weight in part.weights) == parameters


@pytest.mark.parametrize(
    ("depth", "width", "batch", "size", "mebibytes"),
    [(18, 64, 4, 64, 6.78), (18, 32, 8, 96, 15.17), (50, 64, 4, 64, 26.81), (50, 64, 2, 128, 53.35)],
)
def test_maps_are_those_measured_on_real_networks(depth, width, batch, size, mebibytes):
    """Two maps for each convolution with norm and ReLU, one without, as measured; beside images, labels, statistics."""
    setting = replace(FP32, micro_batch_size=batch)
    parts = resnet(network(depth, hidden_size=width, image_size=size, num_classes=1), setting)
    images = batch * 3 * size * size * 4
    assert (saved(parts) - images) / 2**20 == pytest.approx(mebibytes, rel=0.005)


def test_absent_sizes_are_those_of_resnet_50():
    """Depth 50, 224 pixels, a stem of 64 channels, 1000 classes."""
    written = network(50, image_size=224, hidden_size=64, num_classes=1000)
    assert resnet(Network(kind="resnet"), FP32) == resnet(written, FP32)


def test_copies_of_a_stage_are_one_part():
    """The first block of a stage changes channels and size, the others are alike."""
    names = {part.name: part.repeat for part in resnet(network(101), FP32)}
    assert names["layer3.0"] == 1
    assert names["layer3.1"] == 22


def test_two_bytes_halve_all_but_indices_and_labels():
    """Maps in bf16; the max-pool's indices stay int64."""
    setting = replace(FP32, micro_batch_size=4, formats=Formats(compute="bf16", parameter_bytes=2))
    wide, narrow = (
        saved(resnet(network(18, image_size=64), each))
        for each in (replace(FP32, micro_batch_size=4), setting)
    )
    pooled = 4 * 64 * 16 * 16 * 8
    assert narrow - pooled == pytest.approx((wide - pooled) / 2, rel=0.001)


def test_a_convolution_workspace_widens_the_band_only_on_a_gpu():
    """What cuDNN takes is nobody's formula: it enters the upper end, not what is expected."""
    parts = resnet(network(50), replace(FP32, device_kind="cuda"))
    assert max(part.workspace for part in parts) == WORKSPACE
    assert not any(part.workspace for part in resnet(network(50), FP32))
    found = estimate_memory(network=network(50), setting=replace(FP32, device_kind="cuda")).allocated
    assert found.high - found.expected > WORKSPACE


def test_a_frozen_stem_keeps_no_images():
    """Below the first trained parameter autograd keeps nothing."""
    stem, *rest = resnet(network(18, frozen=("stem",)), FP32)
    assert (stem.saved, stem.backward) == (0, 0)
    assert all(part.saved for part in rest)


@given(
    depth=st.sampled_from([18, 34, 50, 101]),
    size=st.integers(32, 256),
    batch=st.integers(1, 32),
    width=st.sampled_from([16, 32, 64]),
    device=st.sampled_from(["cpu", "cuda"]),
)
def test_more_of_anything_keeps_more(depth, size, batch, width, device):
    """Saved bytes grow with batch, pixels, width and depth, and checkpointing never adds any."""
    setting = Setting(device_kind=device, micro_batch_size=batch, formats=Formats(compute="fp32"))
    here = network(depth, image_size=size, hidden_size=width)
    deeper = {18: 34, 34: 50, 50: 101, 101: 152}[depth]
    kept = saved(resnet(here, setting))
    assert kept < saved(resnet(here, replace(setting, micro_batch_size=batch + 1)))
    assert kept < saved(resnet(replace(here, image_size=size + 32), setting))
    assert kept < saved(resnet(replace(here, hidden_size=2 * width), setting))
    assert kept < saved(resnet(replace(here, depth=deeper), setting))
    full = estimate_memory(network=here, setting=replace(setting, checkpointing="full")).stages[0]
    none = estimate_memory(network=here, setting=setting).stages[0]
    assert full.phases["forward-end"] <= none.phases["forward-end"]
