"""RUN/beats/N: what rank N is doing at this moment, for whoever watches from outside.

One line of JSON of fixed size, written over the last one: a write is one system call, and no file grows.
The witness opens the beats of a process; the runtime, where a script uses it, goes on with the same ones.
"""

from __future__ import annotations

import contextlib
import functools
import json
import os
import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import Literal

__all__ = ["SIZE", "Phase", "Pulse", "open_beats", "pulse_of"]

SIZE = 512
"""Bytes of a line, spaces and line feed included; a host name has 64 at most."""
NOW_AND_THEN = 0.2
"""Seconds between beats that only tell of batches: an evaluation draws many, and nobody looks more often."""

Phase = Literal["start", "data", "forward", "backward", "optimizer", "evaluation", "end"]

Write = Callable[[bytes], None]
_known: dict[tuple[str, int], Pulse] = {}


class Pulse:
    """The state of one rank. `write` gets the line whenever the phase changes; only this process may call it."""

    def __init__(
        self, write: Write, *, rank: int, host: str = "", clock: Callable[[], float] = time.perf_counter
    ) -> None:
        self._write, self._clock = write, clock
        self._who = f'"rank":{rank},"host":{json.dumps(host)},"pid":{os.getpid()}'
        self.alive = True
        """False in a forked worker: it is not the rank."""
        self._beaten = 0.0
        self.phase: Phase = "start"
        self.steps = self.tried = self.micro = self.batches = self.aside = self.skipped = 0
        self.seen, self.finite = False, "null"
        self._seconds = self._busy = "null"
        self._working, self._since = 0.0, clock()
        self._stepped: float | None = None
        self._beat()

    def watched(self) -> None:
        """From here on optimizer steps of this process will be seen."""
        self.seen = True
        self._beat()

    def blind(self) -> None:
        """Steps of this process will not be seen any more."""
        self.seen = False
        self.works_aside()

    def enters(self, phase: Phase) -> None:
        """Nothing is written while the phase stays the same."""
        if phase != self.phase:
            self.phase = phase
            self._beat()

    def has_batch(self) -> None:
        """A loader has handed out a batch, to be trained on or not."""
        self.batches += 1
        self.goes_forward()

    def goes_forward(self) -> None:
        """Written now and then only: the backward that follows is."""
        self.phase = "forward"
        if self._clock() - self._beaten >= NOW_AND_THEN:
            self._beat()

    def backward_begins(self) -> None:
        """This rank's own work of a micro-batch is done; from here on it may wait for the others."""
        self._working += self._clock() - self._since
        self.micro += 1
        self.phase = "backward"
        self._beat()

    def backward_ended(self) -> None:
        """The next micro-batch, or the step."""
        self._since = self._clock()
        self.enters("data")

    def works_aside(self) -> None:
        """A forward of an evaluation, a part of a checkpoint: progress, and no part of a step's time."""
        self.aside += 1
        self.phase, self._stepped = "evaluation", None
        self._beat()

    def stepped(self, *, steps: int, skipped: int = 0) -> None:
        """The optimizer has stepped, or left the step out: `steps` done since the training began, skips in a row."""
        now = self._clock()
        self._seconds = "null" if self._stepped is None else f"{now - self._stepped:.6f}"
        self._busy = f"{self._working:.6f}"
        self._working, self._since, self._stepped = 0.0, now, now
        self.steps, self.skipped, self.micro, self.phase = steps, skipped, 0, "data"
        self.tried += 1
        self._beat()

    def ends(self) -> None:
        """The script has come to its end."""
        self.enters("end")

    def _beat(self) -> None:
        if not self.alive:
            return
        self._beaten = self._clock()
        line = (
            f'{{{self._who},"phase":"{self.phase}","steps":{self.steps},"micro":{self.micro},"time":{time.time():.3f},'
            f'"busy":{self._busy},"seconds":{self._seconds},"finite":{self.finite},"skipped":{self.skipped},'
            f'"tried":{self.tried},"batches":{self.batches},"aside":{self.aside},'
            f'"seen":{"true" if self.seen else "false"}}}'
        )
        self._write(line.encode("ascii").ljust(SIZE - 1) + b"\n")


def open_beats(folder: Path, rank: int) -> Pulse:
    """The beats of this process; where the folder cannot be written, nothing is and nothing else happens."""
    pulse = _known[str(folder.resolve()), rank] = Pulse(
        _writer(folder, rank), rank=rank, host=socket.gethostname()
    )
    os.register_at_fork(after_in_child=functools.partial(setattr, pulse, "alive", False))
    return pulse


def pulse_of(folder: Path, rank: int) -> Pulse:
    """The beats that this process has opened, or new ones."""
    return _known.get((str(folder.resolve()), rank)) or open_beats(folder, rank)


def _writer(folder: Path, rank: int) -> Write:
    handle = -1
    if folder.is_dir():
        with contextlib.suppress(OSError):
            (folder / "beats").mkdir(mode=0o700, exist_ok=True)
            handle = os.open(folder / "beats" / str(rank), os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)

    def write(line: bytes) -> None:
        nonlocal handle
        if handle < 0:
            return
        try:
            os.pwrite(handle, line, 0)
        except OSError:  # a full disk, a server that is gone
            handle = -1

    return write
