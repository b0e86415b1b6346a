"""This machine as a cluster of one node, without importing torch and without starting a process."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from fractions import Fraction
from pathlib import Path

from launcher.spec.cluster import Cluster
from launcher.units import Amount

__all__ = ["this_machine"]

_NVIDIA = Path("/proc/driver/nvidia/gpus")
# cgroup 2, cgroup 1, and the whole machine; `max`, or a number beyond the machine, is no limit
_MEMORY = (
    Path("/sys/fs/cgroup/memory.max"),
    Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"),
    Path("/proc/meminfo"),
)

# words in the driver's model name -> catalog name; the first row whose words all occur
_NVIDIA_MODELS = (
    (("H200",), "h200-sxm-141gb"),
    (("H100", "PCIe"), "h100-pcie-80gb"),
    (("H100", "96GB"), "h100-sxm-96gb-hbm2e"),
    (("H100",), "h100-sxm-80gb"),
    (("GB200",), "gb200"),
    (("B200",), "b200"),
    (("A100-SXM", "80GB"), "a100-sxm-80gb"),
    (("A100-SXM", "40GB"), "a100-sxm-40gb"),
    (("A100", "PCIe", "80GB"), "a100-pcie-80gb"),
    (("A100 80GB PCIe",), "a100-pcie-80gb"),
    (("V100-SXM2-16GB",), "v100-sxm-16gb"),
    (("V100-SXM2-32GB",), "v100-sxm-32gb"),
    (("L40S",), "l40s"),
    (("Tesla T4",), "t4"),
    (("A10G",), "a10g"),
    (("NVIDIA L4",), "l4"),
    (("RTX A6000",), "rtx-a6000"),
    (("RTX A4000",), "rtx-a4000"),
    (("RTX 3090",), "rtx-3090"),
    (("RTX 4090",), "rtx-4090"),
    (("RTX 5090",), "rtx-5090"),
    (("TITAN RTX",), "titan-rtx"),
)


def this_machine(
    *, environ: Mapping[str, str] | None = None, gpus: Path = _NVIDIA, memory: Sequence[Path] = _MEMORY
) -> Cluster:
    """One node with the devices this process may use; one process on the CPU where there are none.

    environ: CUDA_VISIBLE_DEVICES narrows the devices. gpus: the driver's folder, one entry per device.
    memory: files that limit what processes may take, the smallest counts.
    """
    environ = os.environ if environ is None else environ  # noqa: TID251 - the machine's own facts
    names = _nvidia_names(gpus)
    devices = tuple(range(len(names)))
    visible = environ.get("CUDA_VISIBLE_DEVICES")
    if visible is not None:
        devices = _visible(visible, count=len(names))
    if not devices:
        return Cluster(nodes=1, devices_per_node=1, device="cpu", host_memory=_host_memory(memory))
    if devices == tuple(range(len(names))):
        return Cluster(nodes=1, devices_per_node=len(names), device=_catalog_name(names[0]))
    return Cluster(nodes=1, devices=devices, device=_catalog_name(names[devices[0]]))


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


def _nvidia_names(gpus: Path) -> list[str]:
    names: list[str] = []
    for entry in sorted(gpus.glob("*/information")):
        try:
            lines = entry.read_text().splitlines()
        except OSError:
            continue
        names.extend(line.split(":", 1)[1].strip() for line in lines if line.startswith("Model:"))
    return names


def _catalog_name(model: str) -> str:
    return next((name for words, name in _NVIDIA_MODELS if all(word in model for word in words)), model)
