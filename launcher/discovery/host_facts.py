"""What a host has: versions, devices, limits, a compiler.

Standard library only, Python 3.8 and later: sent as text to hosts where nothing is installed.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any, Mapping  # noqa: UP035 - Python 3.8

from launcher.discovery.timed import CHECK_SECONDS

__all__ = [
    "compiler",
    "device_memory",
    "devices",
    "interpreter",
    "limits",
    "memory_rows",
    "scheduler_name",
    "shm_bytes",
    "versions",
]

DISTRIBUTIONS = ("torch", "deepspeed", "accelerate", "transformers", "batchwright")
NCCL = ("nvidia-nccl-cu13", "nvidia-nccl-cu12", "nvidia-nccl-cu11")

Request = Mapping[str, Any]


def versions(request: Request) -> dict[str, str | None]:
    """None for what is not installed."""
    from importlib.metadata import PackageNotFoundError, version

    def of(names: tuple[str, ...]) -> str | None:
        for name in names:
            try:
                return version(name)
            except PackageNotFoundError:
                continue
        return None

    found: dict[str, str | None] = {"python": ".".join(str(part) for part in sys.version_info[:3])}
    found.update({name: of((name,)) for name in request.get("distributions") or DISTRIBUTIONS})
    found["nccl"] = of(NCCL)
    found["driver"] = _text("/sys/module/nvidia/version") or None
    return found


def interpreter(_request: Request) -> str:
    return sys.executable


def scheduler_name() -> str | None:
    """What Slurm calls this host, inside a step."""
    return os.environ.get("SLURMD_NODENAME")  # noqa: TID251 - the machine's own facts


def devices(_request: Request) -> dict[str, Any]:
    """kind, count, names; from the drivers' folders, without starting a process. Containers may hide the names."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")  # noqa: TID251 - the machine's own facts
    names = [
        line.split(":", 1)[1].strip()
        for file in sorted(Path("/proc/driver/nvidia/gpus").glob("*/information"))
        for line in _text(file).splitlines()
        if line.startswith("Model:")
    ]
    count = len(names) or len([path for path in Path("/dev").glob("nvidia*") if path.name[6:].isdecimal()])
    if count:
        return {"kind": "cuda", "count": count, "names": names, "visible": visible}
    amd = [path for path in Path("/sys/class/kfd/kfd/topology/nodes").glob("*") if _has_simds(path)]
    if amd:
        return {"kind": "rocm", "count": len(amd), "names": [_text(p / "name") for p in amd], "visible": None}
    gaudi = list(Path("/dev/accel").glob("accel[0-9]*")) if Path("/sys/module/habanalabs").is_dir() else []
    return {"kind": "hpu" if gaudi else "cpu", "count": len(gaudi), "names": [], "visible": None}


def _has_simds(node: Path) -> bool:
    found = re.search(r"^simd_count (\d+)", _text(node / "properties"), re.MULTILINE)
    return found is not None and found[1] != "0"


def device_memory(request: Request) -> list[dict[str, Any]]:
    """Per device: total and used bytes, the processes that hold it. Starts nvidia-smi where its devices are."""
    cards = [
        card
        for card in sorted(Path("/sys/class/drm").glob("card*/device"))
        if _text(card / "mem_info_vram_total")
    ]
    if cards:
        return [
            {
                "total_bytes": int(_text(card / "mem_info_vram_total")),
                "used_bytes": int(_text(card / "mem_info_vram_used") or 0),
                "processes": [],
            }
            for card in cards
        ]
    if devices(request)["kind"] != "cuda":
        return []
    return memory_rows(
        _nvidia_smi("--query-gpu=uuid,memory.total,memory.used"),
        _nvidia_smi("--query-compute-apps=gpu_uuid,pid,process_name"),
    )


def memory_rows(rows: list[list[str]], holding: list[list[str]]) -> list[dict[str, Any]]:
    """From nvidia-smi's lines; it counts in MiB, and has `[N/A]` where a device does not tell."""
    return [
        {
            "total_bytes": int(row[1]) << 20,
            "used_bytes": int(row[2]) << 20,
            "processes": [
                f"{Path(each[2]).name} (process {each[1]})" for each in holding if each[0] == row[0]
            ],
        }
        for row in rows
        if row[1].isdecimal() and row[2].isdecimal()
    ]


def _nvidia_smi(query: str) -> list[list[str]]:
    words = ["nvidia-smi", query, "--format=csv,noheader,nounits"]
    text = subprocess.run(words, capture_output=True, text=True, timeout=CHECK_SECONDS, check=True).stdout
    return [[cell.strip() for cell in line.split(",")] for line in text.splitlines() if line.strip()]


def limits(_request: Request) -> dict[str, Any]:
    """Soft limits; None for none. infiniband: whether there is any, which locks the memory it sends from."""
    import resource

    names = {
        "nofile": resource.RLIMIT_NOFILE,
        "memlock": resource.RLIMIT_MEMLOCK,
        "nproc": resource.RLIMIT_NPROC,
    }
    soft = {name: resource.getrlimit(which)[0] for name, which in names.items()}
    found = {name: None if value in (-1, resource.RLIM_INFINITY) else value for name, value in soft.items()}
    return {**found, "infiniband": any(Path("/sys/class/infiniband").glob("*"))}


def shm_bytes(_request: Request) -> int:
    space = os.statvfs("/dev/shm")  # noqa: S108 - its size is asked for
    return space.f_blocks * space.f_frsize


def compiler(request: Request) -> dict[str, Any]:
    """What DeepSpeed needs for its first start on CPU."""
    from shutil import which
    from sysconfig import get_path

    environment = {**os.environ, **(request.get("environment") or {})}  # noqa: TID251 - the machine's own facts
    name = environment.get("CXX") or "c++"
    home = environment.get("XDG_CACHE_HOME") or Path(environment.get("HOME") or "/", ".cache")
    folder = environment.get("TORCH_EXTENSIONS_DIR")
    operator = "deepspeed_shm_comm/deepspeed_shm_comm.so"
    built = [Path(folder, operator)] if folder else Path(home, "torch_extensions").glob(f"py*/{operator}")
    return {
        "name": name,
        "found": which(name, path=environment.get("PATH")),
        "headers": Path(get_path("include"), "Python.h").is_file(),
        "built": any(file.is_file() for file in built),
    }


def _text(path: str | Path) -> str:
    try:
        return Path(path).read_text(errors="replace").strip()
    except OSError:
        return ""
