"""Rows of a catalog, shipped or a user's own: devices and models, every number with its source."""

from dataclasses import dataclass, field
from typing import Literal

from launcher.spec.kinds import Count, Positive, Text
from launcher.spec.marks import Mark
from launcher.spec.model import Model

__all__ = ["NUMBERS", "CatalogFile", "Device", "DeviceKind", "ModelRow", "Peaks"]

DeviceKind = Literal["cpu", "cuda", "rocm", "hpu"]

NUMBERS = (
    "memory_gib",
    "usable_gib",
    "dense_tflops",
    "memory_gb_per_second",
    "link_gb_per_second",
    "pcie_gb_per_second",
    "multiprocessors",
)
"""Keys of a device that are numbers and may have a source of their own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Peaks:
    """Dense peak by precision, in TFLOPS: matrix units where the format has them, without 2:4 sparsity."""

    fp32: Positive | None = None
    """Plain fp32, outside the matrix units."""
    tf32: Positive | None = None
    """fp32 numbers rounded to tf32 in the matrix units."""
    fp16: Positive | None = None
    """fp16 with fp32 accumulation."""
    bf16: Positive | None = None
    """bf16 with fp32 accumulation."""
    fp8: Positive | None = None
    """fp8 with fp32 accumulation."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Device:
    """One device, or one die of a device that appears as several. None: no source says so."""

    name: str = field(default="", metadata={"internal": True})
    """What a recipe calls it: the row's key."""
    kind: DeviceKind
    """Whose software drives it."""
    memory_gib: Positive | None = None
    """Memory as sold, GiB = 2**30 bytes."""
    usable_gib: Positive | None = None
    """Total that torch prints in out-of-memory messages, in GiB; what a job gets of the memory as sold."""
    has_bf16: bool = True
    """Whether it computes in bf16."""
    dense_tflops: Peaks = field(default_factory=Peaks)
    """Peak by precision."""
    memory_gb_per_second: Positive | None = None
    """Bandwidth of its memory, in 10**9 bytes per second."""
    link_gb_per_second: Positive | None = None
    """All its links to other devices of the node together, one direction; none where it has PCIe alone, or a bridge
    that joins pairs."""
    pcie_gb_per_second: Positive | None = None
    """PCIe, one direction."""
    multiprocessors: Count | None = None
    """Streaming multiprocessors that work off the blocks of a kernel."""
    driver_name: Text | None = None
    """What its driver calls it (`nvidia-smi --query-gpu=name`), so that a machine that has it is recognised."""
    source: Text
    """Where the numbers come from that `sources` does not name."""
    sources: dict[Text, Text] = field(default_factory=dict)
    """Where single numbers come from: `{usable_gib: "nvidia-smi on our nodes"}`."""
    replaces_shipped: bool = False
    """Whether the row stands in for the shipped one of the same name, which is refused otherwise."""

    mark: Mark | None = field(default=None, metadata={"internal": True})
    """Where a user's row stands; None for a shipped one."""

    def source_of(self, number: str) -> str:
        """Where one of NUMBERS comes from."""
        return self.sources.get(number, self.source)


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelRow:
    """One model by name."""

    hidden_size: Count | None = None
    """Width."""
    model: Model = field(default_factory=Model)
    """Keys of a recipe's `model`."""
    num_parameters: Count | None = None
    """As the published weights count; the formulas must give it."""
    source: Text
    """Where the dimensions come from."""
    replaces_shipped: bool = False
    """Whether the row stands in for the shipped one of the same name, which is refused otherwise."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CatalogFile:
    """A user's own catalog: `catalog/devices.yaml` and `catalog/models.yaml` beside a recipe or above it."""

    schema: Literal[1] = 1
    """Version of this vocabulary."""
    devices: dict[Text, Device] = field(default_factory=dict)
    """Devices by the name that `cluster.device` calls them."""
    models: dict[Text, ModelRow] = field(default_factory=dict)
    """Models by the name that `model.preset` calls them."""
