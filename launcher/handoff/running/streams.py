"""What a job prints, to two places: the person's terminal as it comes, and the run's log."""

from __future__ import annotations

import codecs
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

__all__ = ["copied_to_log"]


@contextmanager
def copied_to_log(*, log: Path, stdout: TextIO, stderr: TextIO) -> Iterator[Callable[[int, bytes], None]]:
    """A function for (1 or 2, bytes): writes them to that stream and to the log, in the order of arrival.

    A reader that goes away (`| head`) ends the copy to the terminal, a full disk the log; neither ends the job.
    """
    streams = {1: stdout, 2: stderr}
    sinks = {number: _sink(stream) for number, stream in streams.items()}
    with log.open("ab", buffering=0) as file:
        log.chmod(0o600)
        logging = True

        def write(number: int, data: bytes) -> None:
            nonlocal logging
            if logging:
                try:
                    file.write(data)
                except OSError as error:
                    logging = False
                    print(f"warning: {log} is not written any more: {error.strerror}", file=stderr)
            try:
                sinks[number](data)
            except BrokenPipeError:
                _forget(streams[number])

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


def _forget(stream: TextIO) -> None:
    """Lets a stream whose reader has gone end nowhere; what is still in its buffer would fail again and again."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, stream.fileno())
    os.close(nowhere)
