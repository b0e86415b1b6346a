"""A file that another process, maybe on another machine, writes: read on as it grows."""

from __future__ import annotations

from pathlib import Path

__all__ = ["GrowingFile"]

_MOST = 1 << 20  # bytes at a time


class GrowingFile:
    """Hands out what was added since the last look; a file that is not there yet is an empty one."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._at = 0

    def news(self) -> bytes:
        """Bytes added since the last call, at most a MiB of them; all of it again where the file was cut short."""
        try:
            with self._path.open("rb") as stream:
                if stream.seek(0, 2) < self._at:
                    self._at = 0
                stream.seek(self._at)
                data = stream.read(_MOST)
        except OSError:
            return b""
        self._at += len(data)
        return data
