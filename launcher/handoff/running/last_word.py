"""The end of a job elsewhere, seen before the command that waits for it notices.

`sbatch --wait` looks 2, 10 and 42 seconds after its start, and then every half minute.
Checked: slurm@22.05.8.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Collection, Sequence
from contextlib import suppress
from pathlib import Path

__all__ = ["LastWord"]


class LastWord:
    """Ends the waiting command (not the job: SIGKILL tells nobody) once the job's script has left its exit code."""

    def __init__(self, path: Path) -> None:
        self.code: int | None = None
        """As the script left it; None while there is none."""
        self._path = path
        self._waiting: tuple[int, ...] = ()

    def started(self, pids: Sequence[int]) -> None:
        """Who waits; children that nobody has waited for yet, so their numbers are theirs."""
        self._waiting = tuple(pids)

    def files(self) -> Collection[int]:
        """None: a file on another machine's disk tells nobody that it is there."""
        return ()

    def attend(self, *, ending: bool) -> bool:  # noqa: ARG002 - the protocol's
        """False: a job that has ended is not to be asked to."""
        if self.code is None:
            with suppress(OSError, ValueError):
                self.code = int(self._path.read_text(encoding="ascii"))
                for pid in self._waiting:
                    os.kill(pid, signal.SIGKILL)
        return False
