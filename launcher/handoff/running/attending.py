"""What is looked after in the same loop as a job's commands: other nodes, a watch over the steps."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection
from typing import Protocol

__all__ = ["Attendant", "Deadline"]


class Attendant(Protocol):
    """Something that wants to be called while a job runs."""

    def files(self) -> Collection[int]:
        """Descriptors whose news it waits for; they may change from call to call."""

    def attend(self, *, ending: bool) -> bool:
        """Called at least once a second, and when there is news; True: the job is to be asked to end.

        ending: whether the job is about to end already: a command failed, somebody asked, or an attendant did.
        It must return at once.
        """


class Deadline:
    """Ends a job that takes longer than it may."""

    def __init__(self, seconds: float, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._until = clock() + seconds

    def files(self) -> Collection[int]:
        """Nothing to wait for but time."""
        return ()

    def attend(self, *, ending: bool) -> bool:  # noqa: ARG002 - the protocol's
        """True once it is over."""
        return self._clock() > self._until
