"""The machines, as a recipe or a cluster file describes them."""

from dataclasses import dataclass
from typing import Annotated, Literal

from launcher.spec.kinds import Count, Duration, NonNegative, NonNegativeInteger, Rate, Size, Text

__all__ = ["Cluster", "Group", "Interconnect"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Interconnect:
    """Bandwidth per device, one direction."""

    within_node: Rate | None = None
    """Between devices of one node."""
    between_nodes: Rate | None = None
    """Between nodes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """Nodes that are alike, where not all are."""

    nodes: Count
    """How many."""
    devices_per_node: Count
    """Devices of each."""
    device: Text
    """Catalog name of the device."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cluster:
    """Nodes, devices and links."""

    nodes: Count | Annotated[str, "node range"] = 1
    """Machines; a range (`6..8`) for jobs that may resume on fewer."""
    groups: tuple[Group, ...] = ()
    """Kinds of nodes, when they differ."""
    devices_per_node: Count | None = None
    """Devices, and processes, per node."""
    devices: tuple[NonNegativeInteger, ...] | None = None
    """Which devices of each node, instead of how many."""
    device: Text | None = None
    """Catalog name of the device."""
    interconnect: Interconnect = Interconnect()
    """Links."""
    hostfile: Text | None = None
    """File that names the hosts, `name slots=N` a line, from the recipe's folder."""
    backend: Literal["nccl", "gloo", "rccl", "hccl"] | None = None
    """Communication library; gloo on CPU, else nccl, when absent."""
    host_memory: Size | None = None
    """Memory of a node."""
    cpus_per_node: Count | None = None
    """Cores of a node."""
    reserve: Size | None = None
    """Device memory to leave free."""
    time_limit: Duration | None = None
    """Longest job."""
    price_per_device_hour: NonNegative | None = None
    """Price, in the currency of your choice."""
    power_watts: NonNegative | None = None
    """Power of a device under load, in watts."""
    checkpoint_bandwidth: Rate | None = None
    """How fast checkpoints are written."""
