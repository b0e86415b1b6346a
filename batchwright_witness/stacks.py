"""RUN/stacks/N.txt: where this rank is, line by line, whenever somebody asks with a signal."""

from __future__ import annotations

import contextlib
import faulthandler
import os
import signal
from pathlib import Path
from typing import Any

__all__ = ["SIGNAL", "answer_with_stacks"]

SIGNAL = signal.SIGRTMIN + 3
"""Asks a rank for its stacks. glibc keeps the first two real-time signals; 1 and 2 are left to others."""

_open: list[Any] = []  # faulthandler keeps only the descriptor


def answer_with_stacks(folder: Path, rank: int) -> None:
    """From here on the signal appends all threads' stacks to the file, even while the main thread is stuck in C."""
    if not folder.is_dir():
        return
    with contextlib.suppress(OSError):
        (folder / "stacks").mkdir(mode=0o700, exist_ok=True)
        path = folder / "stacks" / f"{rank}.txt"
        file = os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "w")
        faulthandler.register(SIGNAL, file=file, all_threads=True, chain=False)
        _open.append(file)
