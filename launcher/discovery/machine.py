"""This machine as a cluster of one node, without importing torch; and how it differs from a recipe's."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from fractions import Fraction
from pathlib import Path

from launcher.discovery.accelerators import Places, accelerators, catalog_name
from launcher.errors import Problem
from launcher.planning.layout import machines_of
from launcher.spec.catalog import Device
from launcher.spec.cluster import Cluster
from launcher.units import Amount
from launcher.units.show import show_bytes

__all__ = ["catalog_name", "machine_differs", "this_machine"]

# cgroup 2, cgroup 1, and the whole machine; `max`, or a number beyond the machine, is no limit
_MEMORY = (
    Path("/sys/fs/cgroup/memory.max"),
    Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"),
    Path("/proc/meminfo"),
)
_PLACES = Places()


def this_machine(
    *, environ: Mapping[str, str] | None = None, places: Places = _PLACES, memory: Sequence[Path] = _MEMORY
) -> Cluster:
    """One node with the devices this process may use; one process on the CPU where there are none.

    environ: CUDA_VISIBLE_DEVICES and its like narrow the devices. places: where drivers show them.
    memory: files that limit what processes may take, the smallest counts.
    """
    environ = os.environ if environ is None else environ  # noqa: TID251 - the machine's own facts
    found = accelerators(places=places)
    names = found.names if found else ()
    devices = tuple(range(len(names)))
    visible = next((environ[name] for name in (found.visible if found else ()) if name in environ), None)
    if visible is not None:
        devices = _visible(visible, count=len(names))
    if not devices:
        return Cluster(nodes=1, devices_per_node=1, device="cpu", host_memory=_host_memory(memory))
    if devices == tuple(range(len(names))):
        return Cluster(nodes=1, devices_per_node=len(names), device=names[0])
    return Cluster(nodes=1, devices=devices, device=names[devices[0]])


def machine_differs(
    *,
    cluster: Cluster,
    own: Sequence[Device] = (),
    environ: Mapping[str, str] | None = None,
    places: Places = _PLACES,
    memory: Sequence[Path] = _MEMORY,
) -> Problem | None:
    """A note where this machine has not what one node of a recipe's cluster has; None where it has all of it.

    own: rows of the user's own catalog, which may know what a driver calls its device.
    """
    here = this_machine(environ=environ, places=places, memory=memory)
    names = {row.driver_name: row.name for row in own if row.driver_name is not None}
    wanted, found = (names.get(name or "cpu", name or "cpu") for name in (cluster.device, here.device))
    (_, planned), (_, there) = machines_of(cluster), machines_of(here)
    if wanted != found or (wanted != "cpu" and planned > there):
        differing = (
            f"{planned} x {wanted}",
            f"{there} x {found}" if found != "cpu" else "none but its processors",
        )
    elif _bytes(cluster.host_memory) > (least := _bytes(_host_memory(memory))) > 0:
        differing = f"{show_bytes(_bytes(cluster.host_memory))} of host memory", show_bytes(least)
    else:
        return None
    return Problem(
        code="machine-differs",
        severity="note",
        path="cluster",
        message=f"planned for {differing[0]}; this machine has {differing[1]}",
    )


def _bytes(amount: Amount | None) -> int:
    return 0 if amount is None else int(amount.number)


def _host_memory(files: Sequence[Path]) -> Amount | None:
    """Bytes that processes may take together; None where no file says."""
    found: list[int] = []
    for file in files:
        try:
            text = file.read_text()
        except OSError:
            continue
        total = next((line.split() for line in text.splitlines() if line.startswith("MemTotal:")), None)
        if total is not None:
            found.append(int(total[1]) * 1024)
        elif text.strip().isdecimal():
            found.append(int(text))
    return Amount(number=Fraction(min(found)), unit="bytes", text=f"{min(found)} B") if found else None


def _visible(text: str, *, count: int) -> tuple[int, ...]:
    """Device numbers up to the first entry that names none (CUDA hides all that follow it).

    Entries by UUID are counted from 0: the driver's folder does not tell their numbers.
    """
    found: list[int] = []
    for place, entry in enumerate(text.split(",")):
        word = entry.strip()
        number = int(word) if word.isdecimal() else place if word.startswith(("GPU-", "MIG-")) else -1
        if not 0 <= number < count or number in found:
            break
        found.append(number)
    return tuple(found)
