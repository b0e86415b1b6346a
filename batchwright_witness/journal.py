"""RUN/log.jsonl when no runtime writes it: one line per optimizer step, by rank 0."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

__all__ = ["Journal"]


class Journal:
    """Lines are held back until the first steps are judged: only then is it known which optimizer is the plan's."""

    def __init__(self, path: Path | None, *, again: bool = False) -> None:
        self._path, self._mode = path, "a" if again else "w"
        self._held: dict[int, list[dict[str, Any]]] = {}
        self._file: Any = None
        self._lead: int | None = None

    def step(self, optimizer: int, line: dict[str, Any]) -> None:
        """One optimizer step."""
        if self._path is None or self._lead not in {None, optimizer}:
            return
        if self._lead is None:
            self._held.setdefault(optimizer, []).append(line)
        else:
            self._write(line)

    def lead(self, optimizer: int, **more: Any) -> None:
        """This optimizer's steps are the log; `more` completes the lines that were held back."""
        if self._path is None or self._lead is not None:
            return
        self._lead = optimizer
        for line in self._held.pop(optimizer, []):
            self._write({**line, **{name: call(line) for name, call in more.items()}})
        self._held.clear()

    def close(self, last: dict[str, Any]) -> None:
        """What is still held, then the last record: what could not be seen."""
        if self._path is None:
            return
        if self._lead is None and self._held:
            self.lead(min(self._held))
        self._write(last)
        if self._file is not None:
            self._file.close()
            self._file = None

    def _write(self, line: dict[str, Any]) -> None:
        assert self._path is not None
        try:
            if self._file is None:
                self._file = self._path.open(self._mode, encoding="utf-8")
            self._file.write(json.dumps(line) + "\n")
            self._file.flush()
        except OSError:  # a full disk ends the log, not the training
            self._path = None
