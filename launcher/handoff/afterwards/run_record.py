"""What a run folder says of its run, and whether that still holds."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from launcher.errors import HandoffError, Problem
from launcher.handoff.outcome import RankEnd, rank_ends
from launcher.handoff.running.processes import Process, processes_of_run
from launcher.handoff.status import time_stamp
from launcher.reporting.run_log import StepLine, read_log, read_remarks
from launcher.spec.plain import from_plain
from launcher.spec.plan import RunPlan

__all__ = ["RunRecord", "find_run", "read_run"]

_PARENT = Path("runs")


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRecord:
    """One run, as its folder tells it."""

    directory: Path
    plan: RunPlan
    status: Mapping[str, Any]
    """status.json."""
    bundle: Mapping[str, Any]
    """bundle.json."""
    ranks: tuple[RankEnd, ...]
    """Ranks that have ended."""
    steps: tuple[StepLine, ...]
    remarks: tuple[Mapping[str, Any], ...]
    """What was said of the training: step, code, words."""
    beats: Mapping[int, Mapping[str, Any]]
    """Last word of each rank while it runs."""

    @property
    def state(self) -> str:
        """`running`, `submitted`, `done`, `failed`, `interrupted`; `lost` when the one who wrote `running` is gone."""
        state = str(self.status["state"])
        return "lost" if state == "running" and self.is_here and not self.launcher_lives else state

    @property
    def is_here(self) -> bool:
        """Whether `batchwright run` was started on this machine."""
        return bool(self.status.get("host") == socket.gethostname())

    @property
    def launcher_lives(self) -> bool:
        """Whether that process still runs; its number alone may have gone to somebody else."""
        try:
            words = Path(f"/proc/{int(self.status['pid'])}/cmdline").read_bytes()
        except (OSError, KeyError, TypeError, ValueError):
            return False
        return b"batchwright" in words or b"launcher" in words

    @property
    def started_at(self) -> float:
        """Seconds since the epoch."""
        return _seconds(self.status["started"])

    @property
    def ended_at(self) -> float | None:
        """Seconds since the epoch; None while it runs, and where nobody wrote it."""
        return _seconds(self.status["ended"]) if self.status.get("ended") else None

    @property
    def stepped_at(self) -> float | None:
        """When the log of steps was last written; seconds since the epoch."""
        try:
            return (self.directory / "log.jsonl").stat().st_mtime
        except OSError:
            return None

    @property
    def processes(self) -> tuple[Process, ...]:
        """Processes of the job on this machine."""
        found = processes_of_run(run=str(self.directory), leaders=())
        return tuple(process for process in found if process.pid != os.getpid())


def find_run(name: str) -> Path:
    """The folder that a person means: a path, or a name under ./runs. Raises HandoffError[run-not-found]."""
    for path in (Path(name), _PARENT / name):
        if (path / "status.json").is_file():
            return path.absolute()
    started = [path.parent for path in _PARENT.glob("*/status.json")]
    newest = max(started, key=lambda path: path.stat().st_mtime, default=None)
    there = (Path(name) / "bundle.json").is_file()
    problem = Problem(
        code="run-not-found",
        message=f"`{name}` {'was rendered and never started' if there else 'is not the folder of a run'}",
        hint=f"the newest run here is `{newest}`"
        if newest
        else "name the folder that `batchwright run` printed",
    )
    raise HandoffError([problem])


def read_run(directory: Path) -> RunRecord:
    """Raises HandoffError[run-not-found] for a folder whose files cannot be read."""
    try:
        plan, status, bundle = (
            json.loads((directory / name).read_text(encoding="utf-8"))
            for name in ("plan.json", "status.json", "bundle.json")
        )
        return RunRecord(
            directory=directory,
            plan=from_plain(RunPlan, plan),
            status=_settled(status, directory),
            bundle=bundle,
            ranks=rank_ends(directory),
            steps=read_log(directory),
            remarks=read_remarks(directory),
            beats=_beats(directory),
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        problem = Problem(
            code="run-not-found",
            message=f"`{directory}` cannot be read as the folder of a run",
            because=(f"{type(error).__name__}: {error}",),
            hint="was it written by another version?",
        )
        raise HandoffError([problem]) from None


def _settled(status: Mapping[str, Any], directory: Path) -> Mapping[str, Any]:
    """A job that was handed over has nobody to write its end down but its nodes."""
    from launcher.handoff.node.record import job_verdict
    from launcher.handoff.running.signals import ENDING

    if status["state"] != "submitted" or (verdict := job_verdict(directory)) is None:
        return status
    ended = max(path.stat().st_mtime for path in directory.glob("nodes/*.json"))
    state = "interrupted" if verdict.exit - 128 in ENDING else "failed" if verdict.exit else "done"
    facts = {"exit": verdict.exit, "message": verdict.words, "ended": time_stamp(ended)}
    return {**status, "state": state, **facts}


def _seconds(stamp: str) -> float:
    from datetime import datetime, timezone

    return datetime.strptime(stamp, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=timezone.utc).timestamp()


def _beats(directory: Path) -> dict[int, Mapping[str, Any]]:
    found = {}
    for path in directory.glob("beats/*"):
        try:
            beat = json.loads(path.read_bytes().partition(b"\n")[0])
            found[int(path.stem)] = beat
        except (OSError, ValueError):
            continue
    return dict(sorted(found.items()))
