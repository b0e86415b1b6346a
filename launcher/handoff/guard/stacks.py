"""Stacks as faulthandler writes them: which line of the user's own code a rank is at. Pure."""

from __future__ import annotations

import re
from pathlib import Path

__all__ = ["Frame", "main_frames", "own_lines"]

_THREAD = re.compile(r"^(?:Current thread|Thread) 0x", re.MULTILINE)
# Source: CPython Python/traceback.c:dump_frame
_FRAME = re.compile(r'^  File "(.*)", line (\d+) in (.*)$', re.MULTILINE)
_OURS = str(Path(__file__).resolve().parents[2])
_OTHERS = re.compile(r"^<|/(site|dist)-packages/|/lib/python3[.\d]*/")

Frame = tuple[str, int, str]
"""File, line, function."""


def main_frames(text: str) -> tuple[Frame, ...]:
    """Frames of the main thread, innermost first, of the last dump in the text.

    Threads are dumped from the newest to the oldest, which is the main one; under the witness its outermost frames are
    the witness's. Source: CPython Python/traceback.c:_Py_DumpTracebackThreads.
    """
    blocks = [_FRAME.findall(block) for block in _THREAD.split(text)[1:]]
    known = [block for block in blocks if any("batchwright_witness" in file for file, _, _ in block)]
    chosen = (known or blocks or [[]])[-1]
    return tuple((file, int(line), name) for file, line, name in chosen)


def own_lines(frames: tuple[Frame, ...], *, workdir: str) -> tuple[str, ...]:
    """`train.py:31 in load`, innermost first: the frames outside of Python, of installed packages and of ours.

    All frames where every one is one of those. workdir: left out of the names.
    """
    own = [frame for frame in frames if not _OTHERS.search(frame[0]) and not _is_ours(frame[0])]
    return tuple(
        f"{file.removeprefix(workdir.rstrip('/') + '/')}:{line} in {name}"
        for file, line, name in own or frames
    )


def _is_ours(file: str) -> bool:
    return file.startswith((f"{_OURS}/launcher/", f"{_OURS}/batchwright_witness/"))
