"""What every host must see, and where it is to write: script, data, run folders."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import PurePath
from typing import Any

from launcher.errors import Problem
from launcher.handoff.doctor.answers import Answer
from launcher.handoff.doctor.findings import Finding, named, row
from launcher.spec.checkup import Cell
from launcher.spec.plan import RunPlan

__all__ = ["data", "run_folders", "script"]

_GIB = 2**30
_LEAST_FREE = 256 * 2**20
"""Bytes; logs and records of a run."""
_CHECKPOINT = 12
"""Bytes per parameter: fp32 weights and Adam's two moments, the usual content of a checkpoint."""
_SHARE = "put it on a file system that every host mounts, or copy it there under the same path"


def script(plan: RunPlan, answers: Sequence[Answer]) -> Finding:
    """The folder the job starts in, the script, and whether it is the same file everywhere."""
    sums = [_checksum(answer) for answer in answers if _checksum(answer) is not None]
    usual = Counter(sums).most_common(1)[0][0] if sums else None
    absent: dict[tuple[str, str, str], list[str]] = {}
    other: list[str] = []

    def cell(answer: Answer, found: Mapping[str, Mapping[str, Any]]) -> Cell:
        for name in ("workdir", "script"):
            why = found.get(name, {}).get("why")
            if why:
                absent.setdefault((name, found[name]["path"], why), []).append(answer.host)
                return Cell(found="absent", state="bad", why=f"no {name}" if name == "workdir" else "")
        if _checksum(answer) not in (None, usual):
            other.append(answer.host)
            return Cell(found="seen", state="bad", why="another file")
        return Cell(found="seen")

    made = row("script" if plan.launch.script else "workdir", answers, "paths", cell)
    problems = [_absent(name, path, why, hosts) for (name, path, why), hosts in absent.items()]
    if other:
        problems.append(_other_script(plan, other))
    return Finding(row=made, problems=tuple(problems))


def _checksum(answer: Answer) -> int | None:
    found = (answer.of("paths") or {}).get("script", {}).get("checksum")
    return None if found is None else int(found)


def _absent(name: str, path: str, why: str, hosts: Sequence[str]) -> Problem:
    shown = PurePath(path)
    return Problem(
        code="workdir-not-found" if name == "workdir" else "script-not-found",
        path=f"launch.{name}",
        message=f"{named(hosts)}: `{shown}`: {why}",
        hint=_SHARE,
    )


def _other_script(plan: RunPlan, hosts: Sequence[str]) -> Problem:
    return Problem(
        code="nodes-differ",
        path="launch.script",
        message=f"`{plan.launch.script}` is another file on {named(hosts)} than on the other hosts",
        hint=_SHARE,
    )


def data(plan: RunPlan, answers: Sequence[Answer]) -> Finding | None:
    """data.paths; None where the recipe names none."""
    count = len(plan.data.get("paths") or ())
    if not count:
        return None
    absent: dict[tuple[int, str, str], list[str]] = {}

    def cell(answer: Answer, found: Mapping[str, Mapping[str, Any]]) -> Cell:
        missing = [at for at in range(count) if found.get(f"data.paths.{at}", {}).get("why")]
        for at in missing:
            each = found[f"data.paths.{at}"]
            absent.setdefault((at, each["path"], each["why"]), []).append(answer.host)
        if not missing:
            return Cell(found="seen")
        return Cell(found="absent", state="bad", why=f"{len(missing)} of {count}" if count > 1 else "")

    made = row("data", answers, "paths", cell)
    problems = tuple(
        Problem(
            code="file-not-found",
            path=f"data.paths.{at}",
            message=f"{named(hosts)}: `{path}`: {why}",
            hint=_SHARE,
        )
        for (at, path, why), hosts in absent.items()
    )
    return Finding(row=made, problems=problems)


def run_folders(plan: RunPlan, answers: Sequence[Answer]) -> tuple[Finding, Finding]:
    """Whether run folders can be made, and the room that is left for them."""
    denied: dict[tuple[str, str], list[str]] = {}
    full: dict[str, float] = {}
    need = _needed_bytes(plan)

    def writable(answer: Answer, found: Mapping[str, Any]) -> Cell:
        if why := found.get("why"):
            denied.setdefault((found["path"], why), []).append(answer.host)
            return Cell(found="not writable", state="bad")
        if plan.launch.executor == "local":
            return Cell(found="writable")
        return Cell(found="shared" if found["shared"] else "its own")

    def room(answer: Answer, found: Mapping[str, Any]) -> Cell:
        free = int(found["free_bytes"])
        shown = f"{free / _GIB:,.0f} GiB" if free >= 10 * _GIB else f"{free / _GIB:.1f} GiB"
        if free >= need and found.get("free_files") != 0:
            return Cell(found=shown, amount=free)
        full[answer.host] = free
        return Cell(found=shown, amount=free, state="bad" if free < _LEAST_FREE else "note", why="too little")

    first = row("run folder", answers, "run_parent", writable)
    second = row("free disk", answers, "run_parent", room)
    problems = tuple(
        Problem(
            code="folder-not-writable",
            message=f"{named(hosts)}: run folders cannot be made in `{path}`: {why}",
            hint="give that user the right to write there, or name another place: --run-dir",
        )
        for (path, why), hosts in denied.items()
    )
    return Finding(row=first, problems=problems), Finding(row=second, problems=_full(full, need))


def _full(full: Mapping[str, float], need: float) -> tuple[Problem, ...]:
    if not full:
        return ()
    least = min(full.values())
    problem = Problem(
        code="disk-full",
        path="checkpoint.directory" if need > _LEAST_FREE else "",
        message=f"{named(list(full))}: {least / _GIB:.2f} GiB are free where run folders lie; "
        f"{need / _GIB:.2f} are needed",
        severity="error" if least < _LEAST_FREE else "warning",
        hint="make room, or start from a folder on another file system",
    )
    return (problem,)


def _needed_bytes(plan: RunPlan) -> float:
    """Logs, and the checkpoints that are kept, where their size is known."""
    parameters = plan.model.num_parameters
    if plan.checkpoint is None or not parameters:
        return _LEAST_FREE
    return _LEAST_FREE + _CHECKPOINT * parameters * (plan.checkpoint.get("keep") or 1)
