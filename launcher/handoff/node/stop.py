"""`--stop`: ends what runs of one run on this machine, and waits until nothing of it is left."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

from launcher.handoff.running.processes import Process, ask_to_end, processes_of_run, send

__all__ = ["node_programs", "stop_here"]

_SLACK = 10.0  # seconds beyond the grace
_GRACE = 90.0  # seconds, where the plan cannot be read
_LOOK_AGAIN = 0.1


def stop_here(run: Path, *, node: int | None, say: Callable[[str], None]) -> int:
    """0 once nothing of the run is left here, also when nothing was; 1 when something cannot be ended.

    node: only what belongs to that node, should several nodes of the job be this machine.
    """
    grace = _grace(run)
    programs = node_programs(run, node=node)
    if not programs and not processes_of_run(run=str(run), node=node, leaders=()):
        say(f"nothing of {run} runs here")
        return 0
    send(programs, signal.SIGTERM)
    deadline = time.monotonic() + grace + _SLACK
    while programs and time.monotonic() < deadline:
        time.sleep(_LOOK_AGAIN)
        programs = node_programs(run, node=node)
    send(programs, signal.SIGKILL)
    return 0 if _end_rest(run, node, grace, say) else 1


def node_programs(run: Path, *, node: int | None, proc: Path = Path("/proc")) -> tuple[Process, ...]:
    """Node programs of a run on this machine, by their command lines; not this process."""
    found = []
    for entry in proc.iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        try:
            words = (entry / "cmdline").read_bytes().decode(errors="surrogateescape").split("\0")[:-1]
        except OSError:
            continue
        if _is_node_program(words, run, node, int(entry.name)):
            found.append(Process(int(entry.name), "batchwright_node"))
    return tuple(found)


def _is_node_program(words: list[str], run: Path, node: int | None, pid: int) -> bool:
    """`PYTHON -m batchwright_node RUN ...`; the number of the node is not in every command line."""
    if "batchwright_node" not in words or words[words.index("batchwright_node") - 1] != "-m":
        return False
    rest = words[words.index("batchwright_node") + 1 :]
    if "--stop" in rest or not any(Path(word) == run for word in rest):
        return False
    if node is None or "--node" not in rest:
        return node is None or _noted(run, node) == pid
    return rest[rest.index("--node") + 1 :][:1] == [str(node)]


def _noted(run: Path, node: int) -> int | None:
    try:
        return int((run / "nodes" / f"{node}.pid").read_text())
    except (OSError, ValueError):
        return None


def _end_rest(run: Path, node: int | None, grace: float, say: Callable[[str], None]) -> bool:
    """Ends what the node program has left, if it was ended itself; whether nothing remains."""
    began = time.monotonic()
    asked: set[int] = set()
    while found := processes_of_run(run=str(run), node=node, leaders=()):
        waited = time.monotonic() - began
        ask_to_end(found, asked=asked)
        if waited > grace:
            send(found, signal.SIGKILL)
        if waited > grace + _SLACK:
            say(f"still running: {', '.join(f'{each.name} (process {each.pid})' for each in found)}")
            return False
        time.sleep(_LOOK_AGAIN)
    return True


def _grace(run: Path) -> float:
    try:
        return float(json.loads((run / "plan.json").read_text(encoding="utf-8"))["launch"]["grace_seconds"])
    except (OSError, ValueError, KeyError, TypeError):
        return _GRACE
