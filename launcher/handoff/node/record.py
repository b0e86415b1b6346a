"""What a node leaves in the run folder: RUN/nodes/N.pid while it runs, RUN/nodes/N.json once it has ended."""

from __future__ import annotations

import json
import os
from collections.abc import Collection
from contextlib import suppress
from pathlib import Path
from typing import Any

from launcher.handoff.files import write_atomically
from launcher.handoff.node.control import Verdict
from launcher.handoff.node.node_end import NodeEnd
from launcher.handoff.node.refusal import REFUSED

__all__ = ["forget_earlier", "job_verdict", "note_running", "note_stopped", "record_end", "refused_main"]


_RECENT = 120.0  # seconds


def forget_earlier(run: Path, *, node: int, ranks: Collection[int]) -> None:
    """Removes what an earlier start of the same run said of this node and its ranks (a job that was put back)."""
    said = [f"{folder}/{rank}{end}" for rank in ranks for folder, end in (("ranks", ".json"), ("beats", ""))]
    for path in (_record(run, node), *(run / name for name in said)):
        with suppress(OSError):
            path.unlink()


def note_running(run: Path, *, node: int) -> None:
    """Writes this process's number."""
    with suppress(OSError):
        write_atomically(_pid(run, node), f"{os.getpid()}\n")


def note_stopped(run: Path, *, node: int) -> None:
    """Removes it."""
    with suppress(OSError):
        _pid(run, node).unlink()


def record_end(
    run: Path,
    end: NodeEnd,
    *,
    launch: str = "",
    started: float | None = None,
    verdict: Verdict | None = None,
) -> str | None:
    """Writes how a node ended; why not, when it cannot.

    launch: which launch it belonged to. started: None where its command never was. verdict: of the whole job, where
    this node knows it first.
    """
    facts: dict[str, Any] = {
        "node": end.node,
        "host": end.host,
        "exit": end.exit,
        "rank": end.rank,
        "error": end.error or None,
        "time": end.time,
        "started": started,
        "lost": end.lost,
        "launch": launch,
    }
    if verdict is not None:
        facts["job"] = {
            "exit": verdict.exit,
            "message": verdict.words,
            "node": verdict.cause,
            "rank": verdict.rank,
        }
    try:
        write_atomically(_record(run, end.node), json.dumps(facts, indent=1) + "\n")
    except OSError as error:
        return f"{_record(run, end.node)} is not written: {error.strerror}"
    return None


def job_verdict(run: Path) -> Verdict | None:
    """How the whole job ended, as its main node wrote it down, or another one that lost it; None where nobody could."""
    for path in sorted(run.glob("nodes/*.json"), key=lambda path: (len(path.name), path.name)):
        try:
            job = json.loads(path.read_text(encoding="utf-8"))["job"]
            return Verdict(
                exit=int(job["exit"]), words=str(job["message"]), cause=job["node"], rank=job["rank"]
            )
        except (OSError, ValueError, KeyError, TypeError):
            continue
    return None


def refused_main(run: Path, *, launch: str, now: float) -> str | None:
    """Why the main node started nothing, where its record can be seen from here; None where it may still come.

    launch: which launch this is. now: seconds since the epoch; an old record is one of an earlier start.
    """
    try:
        facts = json.loads(_record(run, 0).read_text(encoding="utf-8"))
        if facts["exit"] == REFUSED and facts["launch"] == launch and facts["time"] > now - _RECENT:
            return str(facts["error"])
    except (OSError, ValueError, KeyError, TypeError):
        pass
    return None


def _record(run: Path, node: int) -> Path:
    return run / "nodes" / f"{node}.json"


def _pid(run: Path, node: int) -> Path:
    return run / "nodes" / f"{node}.pid"
