"""Whether it fits: the estimate held against what the driver really leaves."""

from __future__ import annotations

from launcher.planning.layout import device_of, machines_of
from launcher.planning.memory.estimate import Estimate
from launcher.planning.origins import derived
from launcher.spec.cluster import Cluster
from launcher.spec.marks import Origin
from launcher.spec.plan import LayoutPlan, MemoryPlan, StageMemory, Verdict

__all__ = ["capacity_bytes", "device_origins", "memory_plan", "usable_bytes", "verdict_of"]

GIB = 2**30

SMALLEST_USABLE_SHARE = 0.97
"""Of the memory as sold, where nobody printed what a driver leaves.

The smallest share among the devices whose total torch prints in out-of-memory messages is that of the RTX 3090 and
4090, 23.5 / 24 = 0.979; of the data-centre cards that of the T4, 14.56 / 16 = 0.91, where ECC takes its part.
"""


def capacity_bytes(*, layout: LayoutPlan, cluster: Cluster) -> int | None:
    """Memory of one device as sold; on the CPU the share of host memory of one process, where it is known."""
    device = device_of(layout)
    if device.memory_gib is not None:
        return round(device.memory_gib * GIB)
    if device.kind == "cpu" and cluster.host_memory is not None:
        return int(cluster.host_memory.number) // machines_of(cluster)[1]
    return None


def usable_bytes(*, layout: LayoutPlan, cluster: Cluster) -> int | None:
    """What a job may take of one device, the cluster's reserve left free."""
    device = device_of(layout)
    if device.usable_gib is not None:
        usable: int | None = round(device.usable_gib * GIB)
    else:
        sold = capacity_bytes(layout=layout, cluster=cluster)
        usable = sold if sold is None or device.kind == "cpu" else round(sold * SMALLEST_USABLE_SHARE)
    if usable is None:
        return None
    return usable - (int(cluster.reserve.number) if cluster.reserve is not None else 0)


def device_origins(layout: LayoutPlan) -> dict[str, Origin]:
    """Where what is known of the device's memory comes from, where its row is the user's own."""
    device = layout.own_device
    if device is None:
        return {}
    sold = Origin(origin="cluster", file=str(device.mark), formula=device.source_of("memory_gib"))
    known = device.usable_gib is not None
    usable = Origin(origin="cluster", file=str(device.mark), formula=device.source_of("usable_gib"))
    share = derived(f"{SMALLEST_USABLE_SHARE:g} of the memory as sold, the smallest share of any device")
    return {"memory.capacity_bytes": sold, "memory.usable_bytes": usable if known else share}


def verdict_of(*, estimate: Estimate, usable: int | None) -> Verdict:
    """fits: even the worst; tight: the expected, not the worst."""
    if usable is None:
        return "unknown-memory"
    if estimate.device.high <= usable:
        return "fits"
    return "tight" if estimate.device.expected <= usable else "does-not-fit"


def memory_plan(
    *,
    estimate: Estimate,
    layout: LayoutPlan,
    cluster: Cluster,
    max_micro_batch_size: int | None,
    load_bytes: int,
    evaluation_peak_bytes: int | None,
    save_peak_bytes: int | None,
) -> MemoryPlan:
    """The estimate as it stands in a plan."""
    return MemoryPlan(
        device=layout.device,
        capacity_bytes=capacity_bytes(layout=layout, cluster=cluster),
        usable_bytes=usable_bytes(layout=layout, cluster=cluster),
        allocated_bytes=estimate.allocated.expected,
        reserved_bytes=estimate.reserved.expected,
        peak_bytes=estimate.device.expected,
        low_bytes=estimate.device.low,
        high_bytes=estimate.device.high,
        bands={
            "allocated": (estimate.allocated.low, estimate.allocated.high),
            "reserved": (estimate.reserved.low, estimate.reserved.high),
            "peak": (estimate.device.low, estimate.device.high),
        },
        peak_phase=estimate.phase,
        peak_stage=estimate.stage,
        per_stage=tuple(
            StageMemory(
                stage=stage.stage,
                allocated_bytes=stage.allocated,
                peak_phase=stage.phase,
                components=dict(stage.components),
            )
            for stage in estimate.stages
        ),
        components=dict(estimate.components),
        max_micro_batch_size=max_micro_batch_size,
        host={"load_bytes": load_bytes, "offload_bytes": estimate.host_bytes * layout.devices_per_node},
        evaluation_peak_bytes=evaluation_peak_bytes,
        save_peak_bytes=save_peak_bytes,
        evidence=estimate.evidence,
    )
