"""Commands that ask a job on other machines to end: one after another, beside the commands that wait for it."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable, Sequence

from launcher.handoff.running.commands import JobCommand, start_command

__all__ = ["Asking", "sweep"]


class Asking:
    """The stop commands of one job, started one after another."""

    def __init__(self, commands: Sequence[JobCommand]) -> None:
        self._commands = tuple(commands)
        self._waiting: list[JobCommand] = []
        self._running: subprocess.Popen[bytes] | None = None
        self.failed = False
        """Whether one of them did not end well, or not in time."""

    def __bool__(self) -> bool:
        """Whether there is anybody to ask."""
        return bool(self._commands)

    def ask(self) -> None:
        """Runs all of them; from the first one again, where they have run or still do."""
        self._end()
        self._waiting = list(self._commands)

    def go_on(self) -> bool:
        """Starts the next one when the last has ended; True while one runs."""
        if self._running is not None and self._running.poll() is None:
            return True
        self.failed |= self._running is not None and self._running.returncode != 0
        self._running = start_command(self._waiting.pop(0), piped=False) if self._waiting else None
        return self._running is not None

    def give_up(self) -> None:
        """Ends the one that runs; for a host that never answers."""
        self._waiting.clear()
        self.failed |= self._end()

    def _end(self) -> bool:
        """Whether there was one to end."""
        process, self._running = self._running, None
        if process is None or process.poll() is not None:
            return False
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        return True


def sweep(commands: Sequence[JobCommand], *, seconds: float, hurried: Callable[[], bool]) -> bool:
    """Asks once more, for what outlived the commands that waited for it; whether every one ended well and in time.

    hurried: whether somebody does not want to wait for the answers any longer.
    """
    asking = Asking(commands)
    asking.ask()
    deadline = time.monotonic() + seconds
    while asking.go_on():
        if time.monotonic() > deadline or hurried():
            asking.give_up()
        else:
            time.sleep(0.05)
    return not asking.failed
