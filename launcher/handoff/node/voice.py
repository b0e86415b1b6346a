"""The node program's own lines, and the job's output, which it hands on as it comes."""

from __future__ import annotations

import os
import select
import signal
import stat
import sys
import time
from collections.abc import Collection
from dataclasses import replace

from launcher.handoff.node.node_end import NodeEnd

__all__ = ["Leash", "Outlet", "say"]

_TAIL = 1 << 16  # bytes
_GONE = select.POLLERR | select.POLLHUP


def say(text: str) -> None:
    """Each line on standard error, so marked that it is told from what the job prints."""
    for line in text.splitlines():
        try:
            print(f"batchwright: {line}", file=sys.stderr, flush=True)
        except OSError:  # nobody reads any more
            return


class Outlet:
    """Standard output and error of this process, as descriptors; notices when their reader is gone."""

    def __init__(self) -> None:
        self.broken = False
        self._tail = bytearray()
        self._poll = select.poll()
        for number in (1, 2):
            self._poll.register(number, 0)  # errors and hang-ups only

    def write(self, number: int, data: bytes) -> None:
        """All of the bytes to descriptor 1 or 2, or to nobody once the reader is gone."""
        self._tail += data
        del self._tail[:-_TAIL]
        rest = memoryview(data)
        while rest and not self.broken:
            try:
                rest = rest[os.write(number, rest) :]
            except BlockingIOError:
                select.select([], [number], [])
            except OSError:
                self.broken = True

    @property
    def tail(self) -> str:
        """The last 64 KiB that were written."""
        return self._tail.decode("utf-8", errors="replace")

    def look(self) -> bool:
        """Whether the reader is gone."""
        self.broken = self.broken or any(event & _GONE for _, event in self._poll.poll(0))
        return self.broken


class Leash:
    """Ends the job when whoever started this program is gone: nobody could be told anything, and nobody could ask.

    An attendant of run_job. stdin: whether standard input stays open as long as the one who started us lives (ssh).
    """

    def __init__(self, outlet: Outlet, *, stdin: bool) -> None:
        self.gone_at: float | None = None
        self.outlet = outlet
        self._stdin = stdin and _stays_open()

    def files(self) -> Collection[int]:
        """Standard input, where it tells something."""
        return (0,) if self._stdin and self.gone_at is None else ()

    def attend(self, *, ending: bool) -> bool:  # noqa: ARG002 - gone is gone
        """True once they are."""
        if self.gone_at is None and (self.outlet.look() or (self._stdin and _has_ended())):
            self.gone_at = time.time()
        return self.gone_at is not None

    def cause(self, end: NodeEnd) -> NodeEnd:
        """The node's end with this as its reason, where nothing had failed before."""
        if (
            self.gone_at is None
            or end.told
            or end.asked
            or (end.rank is not None and end.time < self.gone_at)
        ):
            return end
        why = "whoever started it is gone"
        return replace(end, exit=128 + signal.SIGHUP, rank=None, error=why, time=self.gone_at, asked=True)


def _stays_open() -> bool:
    """Whether standard input is a connection on which nothing has ended yet."""
    try:
        mode = os.fstat(0).st_mode
    except OSError:
        return False
    return (stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode)) and not _has_ended()


def _has_ended() -> bool:
    """What comes on standard input is for nobody; its end is what counts."""
    while select.select([0], [], [], 0)[0]:
        try:
            if not os.read(0, 1 << 12):
                return True
        except BlockingIOError:
            return False
        except OSError:
            return True
    return False
