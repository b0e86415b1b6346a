"""The ranks on this machine, from outside: their beats, their stacks, and the state of their processes."""

from __future__ import annotations

import json
import os
import re
import signal
from collections.abc import Collection
from pathlib import Path
from typing import Any

from batchwright_witness.stacks import SIGNAL
from launcher.handoff.guard.stacks import main_frames, own_lines
from launcher.handoff.running.processes import MARK

__all__ = ["ANSWER_SECONDS", "LocalRanks"]

ANSWER_SECONDS = 2.0
"""How long a rank may take for its stacks. Writing them takes milliseconds and needs no lock of the interpreter."""

_LINES = 6  # of a rank's stack; the file has all of them
_PROC = Path("/proc")
_WORDS = {
    "T": "stopped (T)",
    "t": "stopped by a debugger (t)",
    "D": "waits for a device (D)",
    "Z": "ended (Z)",
}


class LocalRanks:
    """Reads RUN/beats, asks for RUN/stacks. `ranks`: those of this machine; all when None."""

    def __init__(self, folder: Path, *, workdir: str, ranks: Collection[int] | None = None) -> None:
        self._folder, self._workdir, self._ranks = folder, workdir, ranks
        self._asked: dict[int, tuple[int, int]] = {}
        """Process, and size of the stack file before, by rank."""

    def beats(self) -> list[dict[str, Any]]:
        """As the ranks wrote them; one that is being written is left out for this time."""
        found = []
        try:
            with os.scandir(self._folder / "beats") as entries:
                names = [entry.name for entry in entries if entry.name.isdecimal()]
        except OSError:
            return []
        for name in names:
            if self._ranks is not None and int(name) not in self._ranks:
                continue
            try:
                found.append(json.loads((self._folder / "beats" / name).read_bytes()))
            except (OSError, ValueError):
                continue
        return found

    def ask(self) -> None:
        """Every rank here for its stacks; only a process of this run that answers the signal gets it."""
        for beat in self.beats():
            rank, pid = int(beat["rank"]), int(beat["pid"])
            self._asked[rank] = (pid, self._size(rank))
            if self._is_rank(pid, rank) and _catches(pid):
                _signal(pid, SIGNAL)

    def answers(self) -> list[dict[str, Any]]:
        """What is known of each rank that was asked: `answered`, else `state` of the process; `lines` of its code."""
        return [self._answer(rank, pid, size) for rank, (pid, size) in sorted(self._asked.items())]

    def wake(self) -> None:
        """Stopped ranks go on, so that they notice that they are asked to end."""
        for beat in self.beats():
            rank, pid = int(beat["rank"]), int(beat["pid"])
            if self._is_rank(pid, rank) and _state(pid) in {"T", "t"}:
                _signal(pid, signal.SIGCONT)

    def _answer(self, rank: int, pid: int, size: int) -> dict[str, Any]:
        text = self._text(rank, size)
        lines = own_lines(main_frames(text), workdir=self._workdir)[:_LINES]
        state = "" if text else _WORDS.get(_state(pid), "")
        if not text and not state and not (_PROC / str(pid)).exists():
            state = "gone"
        return {"rank": rank, "answered": bool(text), "state": state, "lines": list(lines)}

    def _path(self, rank: int) -> Path:
        return self._folder / "stacks" / f"{rank}.txt"

    def _size(self, rank: int) -> int:
        try:
            return self._path(rank).stat().st_size
        except OSError:
            return 0

    def _text(self, rank: int, since: int) -> str:
        try:
            return self._path(rank).read_bytes()[since:].decode(errors="replace")
        except OSError:
            return ""

    def _is_rank(self, pid: int, rank: int) -> bool:
        """Whether the process is still that rank of this run: numbers are used again."""
        try:
            words = (_PROC / str(pid) / "environ").read_bytes().split(b"\0")
        except OSError:
            return False
        return os.fsencode(f"{MARK}={self._folder}") in words and f"RANK={rank}".encode() in words


def _catches(pid: int) -> bool:
    """Whether the process has a handler for the signal, which would end it otherwise. Source: proc_pid_status(5)."""
    caught = re.search(r"^SigCgt:\s*([0-9a-f]+)$", _status(pid), re.MULTILINE)
    return caught is not None and bool(int(caught[1], 16) >> (SIGNAL - 1) & 1)


def _state(pid: int) -> str:
    found = re.search(r"^State:\s*(\w)", _status(pid), re.MULTILINE)
    return found[1] if found else ""


def _status(pid: int) -> str:
    try:
        return (_PROC / str(pid) / "status").read_text(errors="replace")
    except OSError:
        return ""


def _signal(pid: int, number: int) -> None:
    try:
        os.kill(pid, number)
    except (ProcessLookupError, PermissionError):
        return
