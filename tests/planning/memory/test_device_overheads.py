"""What a device holds beside tensors."""

import pytest

from launcher.planning.memory.overheads import communicators, constant, fragmentation, outside
from launcher.planning.memory.setting import Layout, Setting

MIB = 2**20


@pytest.mark.parametrize(
    ("layout", "expected"),
    [
        (Layout(), 0),
        (Layout(data=8), 1),
        (Layout(data=2, tensor=2, pipeline=2), 3),
        (Layout(context=2), 2),
        (Layout(data=8, expert=4), 2),
        (Layout(data=16, strategy="fsdp", shard=8), 2),
    ],
)
def test_communicators(layout, expected):
    """Each axis of more than one rank has a group; context ranks share the data group too, hybrid shards add one."""
    assert communicators(layout) == expected


def test_cpu_has_none():
    """A CPU has no communicators and no workspaces, and its allocator keeps nothing."""
    setting = Setting(device_kind="cpu", layout=Layout(data=8))
    assert {band.high for band in (outside(setting)[1], constant(setting))} == {0}
    assert fragmentation(setting).high == 1


def test_cuda():
    """A CUDA context takes some 300 MiB to 1.3 GiB, a communicator 544 to 688 MB as NCCL reports.

    Source: pytorch/pytorch#107667; NVIDIA/nccl#964; huggingface/transformers docs: 1343 MiB on a V100.
    """
    context, groups = outside(Setting(layout=Layout(data=8)))
    assert (context.low, context.high) == (300 * MIB, 1343 * MIB)
    assert groups.low <= 544 * 10**6 <= groups.expected * 1.02
    assert groups.high >= 688 * 10**6


@pytest.mark.parametrize(("strategy", "stage", "other"), [("fsdp", 3, "ddp"), ("zero", 3, "zero")])
def test_gathering_fragments(strategy, stage, other):
    """Weights that come and go fragment more than buffers that stay."""
    moving = fragmentation(Setting(layout=Layout(data=8, strategy=strategy, zero_stage=stage)))
    still = fragmentation(Setting(layout=Layout(data=8, strategy=other, zero_stage=1)))
    assert moving.expected > still.expected


def test_known_workspaces():
    """Workspaces that are told are taken as told."""
    assert constant(Setting(workspace_bytes=12 * MIB)).expected == 12 * MIB
    assert constant(Setting(device_kind="cpu", workspace_bytes=12 * MIB)).expected == 0
