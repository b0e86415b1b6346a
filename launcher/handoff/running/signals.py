"""Signals as bytes to read, so that one loop sees them in order and nothing is interrupted half way."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

__all__ = ["ENDING", "asked_already", "signals_as_bytes"]

ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
"""Signals by which somebody asks a run to end."""


@contextmanager
def signals_as_bytes() -> Iterator[int]:
    """A descriptor that yields the number of each signal that asks to end, and of SIGCHLD, as one byte.

    Main thread only. A hang-up that the caller ignores (nohup) stays ignored.
    """
    read_end, write_end = os.pipe()
    os.set_blocking(read_end, False)
    os.set_blocking(write_end, False)
    watched = [number for number in (*ENDING, signal.SIGCHLD) if not _ignored_hang_up(number)]
    before = {number: signal.getsignal(number) for number in watched}
    previous = signal.set_wakeup_fd(write_end, warn_on_full_buffer=False)
    try:
        for number in watched:
            signal.signal(number, _noted)
        yield read_end
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        signal.set_wakeup_fd(previous)
        os.close(read_end)
        os.close(write_end)


def asked_already(wake: int) -> int | None:
    """Number of a signal that asks to end and has come since the descriptor was last read; None when none has."""
    try:
        return next((number for number in os.read(wake, 64) if number in ENDING), None)
    except BlockingIOError:
        return None


def _ignored_hang_up(number: int) -> bool:
    return number == signal.SIGHUP and signal.getsignal(number) == signal.SIG_IGN


def _noted(_number: int, _frame: FrameType | None) -> None:
    """The number is already in the pipe."""
