"""What a node leaves in the run folder: RUN/nodes/N.pid while it runs, RUN/nodes/N.json once it has ended."""

from __future__ import annotations

import json
import os
from collections.abc import Collection
from contextlib import suppress
from pathlib import Path

from launcher.handoff.files import write_atomically
from launcher.handoff.node.node_end import NodeEnd

__all__ = ["forget_earlier", "note_running", "note_stopped", "record_end"]


def forget_earlier(run: Path, *, node: int, ranks: Collection[int]) -> None:
    """Removes what an earlier start of the same run said of this node and its ranks (a job that was put back)."""
    for path in (_record(run, node), *(run / "ranks" / f"{rank}.json" for rank in ranks)):
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


def record_end(run: Path, end: NodeEnd, *, started: float | None) -> str | None:
    """Writes how the node ended; why not, when it cannot. started: None where its command never was."""
    facts = {
        "node": end.node,
        "host": end.host,
        "exit": end.exit,
        "rank": end.rank,
        "error": end.error or None,
        "time": end.time,
        "started": started,
    }
    try:
        write_atomically(_record(run, end.node), json.dumps(facts, indent=1) + "\n")
    except OSError as error:
        return f"{_record(run, end.node)} is not written: {error.strerror}"
    return None


def _record(run: Path, node: int) -> Path:
    return run / "nodes" / f"{node}.json"


def _pid(run: Path, node: int) -> Path:
    return run / "nodes" / f"{node}.pid"
