"""The node program's own lines, and the job's output, which it hands on as it comes."""

from __future__ import annotations

import os
import select
import sys

__all__ = ["Outlet", "say"]

_TAIL = 1 << 16  # bytes


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
        """Whether the reader is gone: whoever started this program cannot be told anything any more."""
        self.broken = self.broken or any(
            event & (select.POLLERR | select.POLLHUP) for _, event in self._poll.poll(0)
        )
        return self.broken
