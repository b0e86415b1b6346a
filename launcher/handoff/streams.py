"""What a job prints, to two places: the person's terminal as it comes, and the run's log."""

from __future__ import annotations

import codecs
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

__all__ = ["copied_to_log"]


@contextmanager
def copied_to_log(*, log: Path, stdout: TextIO, stderr: TextIO) -> Iterator[Callable[[int, bytes], None]]:
    """A function for (1 or 2, bytes): writes them to that stream and to the log, in the order of arrival.

    A reader that goes away (`| head`) ends the copy to the terminal, not the job.
    """
    sinks = {1: _sink(stdout), 2: _sink(stderr)}
    with log.open("ab", buffering=0) as file:
        log.chmod(0o600)

        def write(number: int, data: bytes) -> None:
            file.write(data)
            try:
                sinks[number](data)
            except (BrokenPipeError, ValueError):
                sinks[number] = _nowhere

        yield write


def _sink(stream: TextIO) -> Callable[[bytes], None]:
    """Bytes as they are where the stream has a binary side, else decoded."""
    raw = getattr(stream, "buffer", None)
    decode = codecs.getincrementaldecoder("utf-8")(errors="replace").decode

    def write(data: bytes) -> None:
        if raw is None:
            stream.write(decode(data))
        else:
            raw.write(data)
        stream.flush()

    stream.flush()
    return write


def _nowhere(_data: bytes) -> None:
    pass
