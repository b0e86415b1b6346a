"""What two starts of a rehearsal say: did the second go on where the first had saved?"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from launcher.handoff.trials.trial import TrialEnd

__all__ = [
    "TOLERANCES",
    "bytes_below",
    "is_comparable",
    "latest_checkpoint",
    "node_bytes",
    "reload_fault",
    "same_step_fault",
]

TOLERANCES = {"cpu": 1e-6, "fp32": 1e-4, "fp16": 1e-2, "bf16": 1e-2, "fp8": 5e-2}
"""Relative difference of two losses of the same step. On a CPU sums are taken in the same order every time; kernels of
a GPU add with atomic operations, and in fp32 may multiply in tf32."""

_UNFINISHED = (".tmp", ".partial", ".lock")


def latest_checkpoint(directory: Path) -> Path | None:
    """The file or folder in a checkpoint directory that was written last; None where there is none.

    `latest` is a pointer to another entry. Source: deepspeed@0.19.8 runtime/engine.py:DeepSpeedEngine.save_checkpoint.
    """
    try:
        entries = [
            each
            for each in directory.iterdir()
            if not each.name.startswith(".") and each.suffix not in _UNFINISHED
        ]
    except OSError:
        return None
    pointer = next((each for each in entries if each.name == "latest" and each.is_file()), None)
    if pointer is not None:
        named = directory / pointer.read_text(encoding="utf-8", errors="replace").strip()
        if named.parent == directory and named.exists():
            return named
    found = [each for each in entries if each is not pointer and each.suffix != ".py"]
    return max(found, key=lambda each: (each.stat().st_mtime_ns, each.name), default=None)


def bytes_below(directory: Path) -> int:
    """Size of all files in a folder, in bytes."""
    return sum(each.stat().st_size for each in directory.rglob("*") if each.is_file())


def node_bytes(ends: Sequence[TrialEnd]) -> int | None:
    """Host memory that the processes of one node took at their peaks, in bytes; of the node where it was most."""
    sums: list[int] = []
    for end in ends:
        nodes: dict[str, int] = {}
        for record in end.records.values():
            if "host_bytes" in record:
                nodes[record["host"]] = nodes.get(record["host"], 0) + int(record["host_bytes"])
        sums += nodes.values()
    return max(sums, default=None)


def is_comparable(first: TrialEnd, second: TrialEnd, *, at: int) -> bool:
    """Whether any rank's step after the checkpoint was seen in both starts."""
    return bool(_pairs(first, second, at=at))


def reload_fault(first: TrialEnd, second: TrialEnd, *, at: int) -> str | None:
    """How parameters, optimizer or learning rate before a step differ from what they were when they were saved.

    at: optimizer steps that the checkpoint has. Saved and read back, every bit is the same: nothing is tolerated.
    """
    step = at + 1
    for rank, saved, reloaded in _pairs(first, second, at=at):
        if saved["parameters"] != reloaded["parameters"]:
            return f"rank {rank}: the parameters before step {step} are not those that were saved"
        if saved["state"] != reloaded["state"]:
            anew = f"rank {rank}: the optimizer starts anew before step {step}: its state is not restored"
            other = f"rank {rank}: the optimizer's state before step {step} is not the one that was saved"
            return other if reloaded["state"] else anew
        if saved["rates"] != reloaded["rates"]:
            now, then = _several(reloaded["rates"]), _several(saved["rates"])
            return f"learning rate {now} at step {step}, {then} without the restart: the schedule is not restored"
    return None


def same_step_fault(first: TrialEnd, second: TrialEnd, *, at: int, tolerance: float) -> str | None:
    """How loss or gradient of the step after a checkpoint differ between the start that saved and the one that read.

    By each rank's own numbers: after parameters agree, other samples or other random numbers are left.
    """
    for rank, saved, reloaded in _pairs(first, second, at=at):
        for name, then, now, allowed in (
            ("loss", saved["loss"], reloaded["loss"], tolerance),
            ("gradient norm", _norm(saved), _norm(reloaded), 10 * tolerance),
        ):
            if then is None or now is None or math.isclose(then, now, rel_tol=allowed):
                continue
            differ = f"rank {rank}: {name} {now:.6g} at step {at + 1}, {then:.6g} without the restart"
            return f"{differ}; at most {allowed:g} apart is meant"
    return None


def _pairs(
    first: TrialEnd, second: TrialEnd, *, at: int
) -> list[tuple[int, Mapping[str, Any], Mapping[str, Any]]]:
    """By rank and optimizer: its step number `at` (from 0) of the first start, and the first one of the second."""
    found = []
    for rank, record in first.records.items():
        earlier = {each["optimizer"]: each for each in _steps(record) if each["step"] == at}
        later = {each["optimizer"]: each for each in _steps(second.records.get(rank, {})) if not each["step"]}
        found += [(rank, earlier[each], later[each]) for each in sorted(earlier.keys() & later.keys())]
    return found


def _steps(record: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    steps: Sequence[Mapping[str, Any]] = (record.get("inspected") or {}).get("steps", ())
    return steps


def _norm(step: Mapping[str, Any]) -> float:
    return math.sqrt(step["gradient_squares"])


def _several(rates: Sequence[float]) -> str:
    return ", ".join(f"{rate:.6g}" for rate in dict.fromkeys(rates))
