"""All processes of one run, wherever they went: found by the run's mark in their environment, by session, by parent."""

from __future__ import annotations

import os
import signal
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

__all__ = ["MARK", "NODE_MARK", "Process", "ask_to_end", "processes_of_run", "send"]

MARK = "BATCHWRIGHT_RUN"
NODE_MARK = "BATCHWRIGHT_NODE"
"""Number of the node, in the environment of what a node program starts."""
_PROC = Path("/proc")


@dataclass(frozen=True, slots=True)
class Process:
    """One living process."""

    pid: int
    name: str
    parent: int = 0


def processes_of_run(
    *, run: str | None, leaders: Collection[int], node: int | None = None, proc: Path = _PROC
) -> tuple[Process, ...]:
    """Every living process of a run: carries its mark, is in a leader's session, or descends from one that does.

    run: value of BATCHWRIGHT_RUN, different for every run; None: by session and parent only. leaders: processes that
    we started, each the head of a session of its own, not waited for yet (so that their numbers cannot have gone to
    anybody else). node: only what that node of the job started, should several of its nodes be this machine.
    torchrun puts its workers into sessions of their own; only the mark finds them once torchrun is gone.
    Empty where there is no /proc.
    """
    table = _process_table(proc)
    marks = set() if run is None else {os.fsencode(f"{MARK}={run}")}
    if marks and node is not None:
        marks.add(os.fsencode(f"{NODE_MARK}={node}"))
    members = {
        pid
        for pid, (_, _, session) in table.items()
        if session in leaders or (marks and marks.issubset(_environment(proc, pid)))
    }
    members |= set(leaders)
    while True:
        children = {pid for pid, (_, parent, _) in table.items() if parent in members} - members
        if not children:
            break
        members |= children
    members.discard(os.getpid())
    return tuple(Process(pid, *table[pid][:2]) for pid in sorted(members) if pid in table)


def ask_to_end(processes: Collection[Process], *, asked: set[int]) -> None:
    """SIGTERM once to each of them; `asked` keeps whom it went to.

    What a process starts after it was asked is its own way of ending, such as the upload of its last checkpoint, and
    is left to it.
    """
    earlier = frozenset(asked)
    asked.update(process.pid for process in processes)
    send([each for each in processes if not {each.pid, each.parent} & earlier], signal.SIGTERM)


def send(processes: Collection[Process], number: signal.Signals) -> None:
    """One signal to each of them; those that are gone already are passed over."""
    for process in processes:
        try:
            os.kill(process.pid, number)
        except (ProcessLookupError, PermissionError):
            continue


def _process_table(proc: Path) -> dict[int, tuple[str, int, int]]:
    """Number to (name, parent, session) of every process that has not ended.

    Source: proc_pid_stat(5); the name stands in parentheses and may itself hold some.
    """
    table: dict[int, tuple[str, int, int]] = {}
    try:
        entries = [entry.name for entry in proc.iterdir() if entry.name.isdigit()]
    except OSError:
        return table
    for entry in entries:
        try:
            text = (proc / entry / "stat").read_text(errors="replace")
        except OSError:
            continue
        name, _, rest = text.partition("(")[2].rpartition(")")
        state, parent, _, session = rest.split()[:4]
        if state not in {"Z", "X"}:
            table[int(entry)] = (name, int(parent), int(session))
    return table


def _environment(proc: Path, pid: int) -> list[bytes]:
    try:
        return (proc / str(pid) / "environ").read_bytes().split(b"\0")
    except OSError:
        return []
