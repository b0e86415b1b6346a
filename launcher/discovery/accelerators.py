"""Accelerators of this machine, as their drivers' own files name them: no torch, and no process is started.

Where a driver has no such files, as under WSL, and a device is there all the same, its vendor's tool is asked.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

__all__ = ["Accelerators", "Places", "accelerators", "catalog_name"]

_SECONDS = 5.0

# words in the driver's model name -> catalog name; the first row whose words all occur. A laptop's namesake is none.
_NVIDIA_MODELS = (
    (("H200",), "h200-sxm-141gb"),
    (("H100", "PCIe"), "h100-pcie-80gb"),
    (("H100 NVL",), "h100-nvl-94gb"),
    (("H100", "96GB"), "h100-sxm-96gb-hbm2e"),
    (("H100", "80GB"), "h100-sxm-80gb"),
    (("NVIDIA H800",), "h800-sxm-80gb"),
    (("GB200",), "gb200"),
    (("B200",), "b200"),
    (("A100-SXM4", "80GB"), "a100-sxm-80gb"),
    (("A100-SXM4", "40GB"), "a100-sxm-40gb"),
    (("A100", "PCIe", "80GB"), "a100-pcie-80gb"),
    (("A100 80GB PCIe",), "a100-pcie-80gb"),
    (("A100-PCIE-40GB",), "a100-pcie-40gb"),
    (("P100-SXM2",), "p100-sxm-16gb"),
    (("V100-SXM2-16GB",), "v100-sxm-16gb"),
    (("V100-SXM2-32GB",), "v100-sxm-32gb"),
    (("V100-SXM3-32GB",), "v100-sxm-32gb"),
    (("L40S",), "l40s"),
    (("Tesla T4",), "t4"),
    (("A10G",), "a10g"),
    (("NVIDIA A10",), "a10"),
    (("NVIDIA L4",), "l4"),
    (("RTX A6000",), "rtx-a6000"),
    (("RTX A4000",), "rtx-a4000"),
    (("RTX 3090",), "rtx-3090"),
    (("RTX 4090",), "rtx-4090"),
    (("RTX 5090",), "rtx-5090"),
    (("TITAN RTX",), "titan-rtx"),
)
# PCI device number -> catalog name; a MI250X is two devices. Source: libdrm@2.4.125 data/amdgpu.ids
_AMD_MODELS = {
    0x7408: "mi250x-gcd",
    0x740C: "mi250x-gcd",
    0x74A1: "mi300x",
    0x74A9: "mi300x",
    0x74B5: "mi300x",
    0x74BD: "mi300x",
}
_GAUDI_MODELS = {"GAUDI2": "gaudi2", "GAUDI3": "gaudi3"}


class Places(NamedTuple):
    """Where drivers show their devices."""

    nvidia: Path = Path("/proc/driver/nvidia/gpus")
    """One folder per device; a container sees those that it was given."""
    amd: Path = Path("/sys/class/kfd/kfd/topology/nodes")
    """One folder per device and processor of the whole machine. Source: linux@6.12 drivers/gpu/drm/amd/amdkfd/
    kfd_topology.c:node_show."""
    render: Path = Path("/dev/dri")
    """`renderD128`: what a process, or its container, may open."""
    gaudi: Path = Path("/sys/class/accel")
    """Source: linux@6.12 Documentation/ABI/testing/sysfs-driver-habanalabs."""
    windows: Path = Path("/dev/dxg")
    """The device of the Windows that this Linux runs in."""


class Accelerators(NamedTuple):
    """Devices of one kind, by their numbers."""

    names: tuple[str, ...]
    """Catalog names; what the driver says where the catalog has none."""
    visible: tuple[str, ...]
    """Variables that narrow them, the first that is set counts."""


def accelerators(
    *, places: Places, run: Callable[[tuple[str, ...]], str] | None = None
) -> Accelerators | None:
    """What the machine has, NVIDIA first; None where there is nothing but its processors.

    run: gives what a command prints, or nothing.
    """
    nvidia = _nvidia(places.nvidia)
    if not nvidia and places.windows.exists():
        nvidia = _asked(run or _printed)
    if nvidia:
        return Accelerators(tuple(map(catalog_name, nvidia)), ("CUDA_VISIBLE_DEVICES",))
    if amd := _amd(places.amd, places.render):
        return Accelerators(amd, ("HIP_VISIBLE_DEVICES", "ROCR_VISIBLE_DEVICES", "CUDA_VISIBLE_DEVICES"))
    if gaudi := _gaudi(places.gaudi):
        return Accelerators(gaudi, ("HABANA_VISIBLE_MODULES",))
    return None


def catalog_name(model: str) -> str:
    """The catalog's name of an NVIDIA model as the driver calls it; that itself where the catalog has none."""
    if "Laptop" in model or model.endswith("H800 PCIe"):
        return model
    return next(
        (name for words, name in _NVIDIA_MODELS if all(_is_word(word, model) for word in words)), model
    )


def _is_word(word: str, model: str) -> bool:
    """An A100 is no A10, and a GB200 no B200."""
    return re.search(rf"(?<![0-9A-Za-z]){re.escape(word)}(?![0-9A-Za-z])", model) is not None


def _nvidia(folder: Path) -> list[str]:
    names: list[str] = []
    for entry in sorted(folder.glob("*/information")):
        lines = _text(entry).splitlines()
        names.extend(line.split(":", 1)[1].strip() for line in lines if line.startswith("Model:"))
    return names


def _asked(run: Callable[[tuple[str, ...]], str]) -> list[str]:
    lines = run(("nvidia-smi", "--query-gpu=name", "--format=csv,noheader")).splitlines()
    return [line.strip() for line in lines if line.strip()]


def _printed(words: tuple[str, ...]) -> str:
    import subprocess

    try:
        ran = subprocess.run(
            words, capture_output=True, text=True, errors="replace", timeout=_SECONDS, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return ran.stdout if ran.returncode == 0 else ""


def _amd(nodes: Path, render: Path) -> tuple[str, ...]:
    """Those of the machine's that this process could open, in the driver's order."""
    names = []
    for node in sorted(nodes.glob("[0-9]*"), key=lambda path: int(path.name)):
        numbers = dict(re.findall(r"^(\w+) (\d+)$", _text(node / "properties"), re.MULTILINE))
        if int(numbers.get("simd_count", 0)) == 0:  # a processor
            continue
        if not (render / f"renderD{numbers.get('drm_render_minor', '')}").exists():
            continue
        number = int(numbers.get("device_id", 0))
        names.append(_AMD_MODELS.get(number, f"AMD {number:04x}"))
    return tuple(names)


def _gaudi(folder: Path) -> tuple[str, ...]:
    names = []
    for entry in sorted(folder.glob("accel[0-9]*"), key=lambda path: (len(path.name), path.name)):
        kind = _text(entry / "device" / "device_type").strip()
        if kind.startswith("GAUDI"):
            names.append(_GAUDI_MODELS.get(kind, kind))
    return tuple(names)


def _text(path: Path) -> str:
    try:
        return path.read_text(errors="replace")
    except OSError:
        return ""
