"""What hosts have, against what the plan counts on: devices, their memory, limits, a compiler."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from launcher.discovery.machine import catalog_name
from launcher.errors import Problem
from launcher.handoff.doctor.answers import Answer
from launcher.handoff.doctor.findings import Finding, named, row
from launcher.spec.checkup import Cell
from launcher.spec.plan import RunPlan

__all__ = ["compiler", "device_memory", "devices", "limits", "shared_memory"]

_GIB = 2**30
_SHM = "/dev/shm"  # noqa: S108 - its size is what is asked
_OPEN_FILES = 4096
"""Data loaders pass tensors as open files. Source: torch docs, multiprocessing, sharing strategy file_descriptor."""
_SHARED_MEMORY = 256 * 2**20
"""Docker's default of 64 MiB ends data loader workers and NCCL with a bus error. Source: torch README, docker image."""
_MUCH = 2**30


def devices(plan: RunPlan, answers: Sequence[Answer]) -> Finding:
    """Kind, number and model as planned."""
    layout = plan.layout
    wanted = layout.devices_per_node if layout.devices is None else max(layout.devices) + 1
    few: dict[tuple[int, str | None], list[str]] = {}
    problems = []

    def cell(answer: Answer, found: Mapping[str, Any]) -> Cell:
        count = _usable(found)
        if layout.device_kind == "cpu":
            return Cell(found="cpu")
        shown = f"{count} x {_short(found)}" if count else "none"
        if found["kind"] != layout.device_kind or count < wanted:
            few.setdefault((count, found.get("visible")), []).append(answer.host)
            return Cell(found=shown, state="bad", why=f"plan says {wanted}")
        model = catalog_name(found["names"][0]) if found["names"] else layout.device
        if model != layout.device and " " not in model:  # with a space: one that the catalog does not have
            problems.append(_other_model(plan, answer, model))
            return Cell(found=shown, state="note", why=f"plan says {layout.device}")
        return Cell(found=shown)

    made = row("devices", answers, "devices", cell)
    short = [_too_few(plan, hosts, wanted, count, hidden) for (count, hidden), hosts in few.items()]
    return Finding(row=made, problems=(*short, *problems))


def _usable(found: Mapping[str, Any]) -> int:
    """Devices that a process may use there: a scheduler hides the others."""
    visible = found.get("visible")
    count = int(found["count"])
    return count if visible is None else min(count, len([word for word in str(visible).split(",") if word]))


def _short(found: Mapping[str, Any]) -> str:
    return str(found["names"][0]).removeprefix("NVIDIA ") if found["names"] else str(found["kind"])


def _too_few(plan: RunPlan, hosts: Sequence[str], wanted: int, count: int, hidden: str | None) -> Problem:
    has = "has" if len(hosts) == 1 else "have"
    found = "1 device" if count == 1 else f"{count or 'no'} devices"
    return Problem(
        code="nodes-differ",
        path="cluster.devices_per_node",
        message=f"{named(hosts)} {has} {found}; the plan has {wanted} x {plan.layout.device} on every node",
        because=(f"CUDA_VISIBLE_DEVICES={hidden} there",) if hidden is not None else (),
        hint=f"leave {named(hosts)} out, or write cluster.devices_per_node: {count}"
        if count
        else "is the driver loaded there? write cluster.device as it is, or leave the host out",
    )


def _other_model(plan: RunPlan, answer: Answer, model: str) -> Problem:
    return Problem(
        code="nodes-differ",
        path="cluster.device",
        message=f"{answer.host} has {model}; memory and time are planned for {plan.layout.device}",
        severity="warning",
        hint=f"cluster.device: {model}",
    )


def device_memory(plan: RunPlan, answers: Sequence[Answer]) -> Finding | None:
    """Free memory of the device that has least, against the planned peak. None without devices."""
    if plan.layout.device_kind == "cpu":
        return None
    used = plan.layout.devices or range(plan.layout.devices_per_node)
    need = plan.memory.peak_bytes if plan.memory is not None else 0
    problems = []

    def cell(answer: Answer, found: Sequence[Mapping[str, Any]]) -> Cell:
        ours = [(at, each) for at, each in enumerate(found) if at in used]
        if not ours:
            return Cell(found="-", state="unknown")
        at, least = min(ours, key=lambda pair: pair[1]["total_bytes"] - pair[1]["used_bytes"])
        free = least["total_bytes"] - least["used_bytes"]
        shown = f"{free / _GIB:.1f} of {least['total_bytes'] / _GIB:.1f} GiB"
        if free >= need and least["used_bytes"] < _MUCH:
            return Cell(found=shown, amount=free)
        problems.append(_busy(answer, at, least, need))
        why = f"device {at}, plan needs {need / _GIB:.1f}" if free < need else f"device {at} in use"
        return Cell(found=shown, amount=free, state="bad" if free < need else "note", why=why)

    return Finding(row=row("free memory", answers, "device_memory", cell), problems=tuple(problems))


def _busy(answer: Answer, at: int, device: Mapping[str, Any], need: int) -> Problem:
    free = device["total_bytes"] - device["used_bytes"]
    return Problem(
        code="device-memory-busy",
        path="cluster.devices",
        message=f"device {at} of {answer.host} has {free / _GIB:.1f} of {device['total_bytes'] / _GIB:.1f} GiB free"
        + (f"; the plan needs {need / _GIB:.1f}" if need else ""),
        because=tuple(f"held by {holder}" for holder in device["processes"][:4]),
        severity="error" if free < need else "warning",
        hint="end what holds it, or leave the device out: cluster.devices",
    )


def limits(answers: Sequence[Answer]) -> Finding:
    """Open files; locked memory only where there is InfiniBand, which pins what it sends."""
    low: list[str] = []
    locked: list[str] = []

    def cell(answer: Answer, found: Mapping[str, Any]) -> Cell:
        files, memory = found["nofile"], found["memlock"]
        shown = f"{'unlimited' if files is None else f'{files:,}'} files"
        if files is not None and files < _OPEN_FILES:
            low.append(answer.host)
            return Cell(found=shown, state="note", why="low")
        if found.get("infiniband") and memory is not None and memory < _GIB:
            locked.append(answer.host)
            return Cell(found=shown, state="note", why=f"memlock {memory >> 10} KiB")
        return Cell(found=shown)

    made = row("limits", answers, "limits", cell)
    problems = []
    if low:
        problems.append(
            _limit(f"{named(low)}: at most {_least(answers, 'nofile')} open files", "ulimit -n 65536")
        )
    if locked:
        problems.append(
            _limit(f"{named(locked)}: InfiniBand, and little memory may be locked", "ulimit -l unlimited")
        )
    return Finding(row=made, problems=tuple(problems))


def _least(answers: Sequence[Answer], name: str) -> int:
    values = [(answer.of("limits") or {}).get(name) for answer in answers]
    return min(int(value) for value in values if value is not None)


def _limit(message: str, command: str) -> Problem:
    return Problem(
        code="limit-too-low",
        message=message,
        severity="warning",
        hint=f"`{command}` in launch.setup, or for all logins in /etc/security/limits.conf",
    )


def shared_memory(answers: Sequence[Answer]) -> Finding:
    """Size of /dev/shm."""
    small: list[str] = []

    def cell(answer: Answer, size: int) -> Cell:
        shown = f"{size / _GIB:.1f} GiB" if size >= _GIB else f"{size >> 20} MiB"
        if size < _SHARED_MEMORY:
            small.append(answer.host)
            return Cell(found=shown, amount=size, state="note", why="small")
        return Cell(found=shown, amount=size)

    made = row(_SHM, answers, "shm_bytes", cell)
    problem = Problem(
        code="limit-too-low",
        message=f"{_SHM} of {named(small)} is smaller than {_SHARED_MEMORY >> 20} MiB: data loader workers and "
        "NCCL die with a bus error when it is full",
        severity="warning",
        hint="mount -o remount,size=8G /dev/shm; of a container: --shm-size=8g",
    )
    return Finding(row=made, problems=(problem,) if small else ())


def compiler(plan: RunPlan, answers: Sequence[Answer]) -> Finding | None:
    """What DeepSpeed builds at its first start on CPU; None for other engines."""
    if plan.launch.engine != "deepspeed" or plan.layout.device_kind != "cpu":
        return None
    without: dict[str, str] = {}

    def cell(answer: Answer, found: Mapping[str, Any]) -> Cell:
        if found["built"]:
            return Cell(found="built")
        if found["found"] and found["headers"]:
            return Cell(found=str(found["name"]))
        missing = "no Python.h" if found["found"] else f"no {found['name']}"
        without[answer.host] = missing
        return Cell(found="none", state="bad", why=missing)

    made = row("compiler", answers, "compiler", cell)
    problem = Problem(
        code="no-compiler",
        path="launch.engine",
        message="DeepSpeed on CPU builds a small C++ operator at its first start, and cannot on "
        f"{named(list(without))}",
        because=tuple(f"{host}: {missing}" for host, missing in list(without.items())[:4]),
        hint="install g++ and Python's headers there (apt-get install g++ python3-dev), or launch.engine: torchrun",
    )
    return Finding(row=made, problems=(problem,) if without else ())
