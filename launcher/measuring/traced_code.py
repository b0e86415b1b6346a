"""Which files of a person a trace depends on, and their hashes. No torch."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from launcher.discovery.traces import file_hash

__all__ = ["Opened"]

_NOT_CODE = frozenset({"__pycache__", ".batchwright", "site-packages"})


class Opened:
    """Files under a folder that this process imports or opens for reading, from the moment the hook is in."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory.resolve()
        self._paths: set[str] = set()

    def hook(self, event: str, arguments: tuple[Any, ...]) -> None:
        """For sys.addaudithook: `open` is raised by every way to open a file (PEP 578)."""
        if event == "open" and isinstance(arguments[0], str):
            mode = arguments[1]
            if mode is None or not set("wax+").intersection(mode):
                self._paths.add(arguments[0])

    def hashes(self) -> dict[str, str]:
        """Path from the folder to sha256, in order."""
        loaded = [getattr(module, "__file__", None) for module in list(sys.modules.values())]
        # modules that come from compiled files are not opened
        found: dict[str, str] = {}
        for path in sorted({*self._paths, *(each for each in loaded if each)}):
            place = (self._directory / path).resolve()
            inside = place.is_relative_to(self._directory) and place.is_file()
            if inside and not _NOT_CODE.intersection(place.relative_to(self._directory).parts):
                found[place.relative_to(self._directory).as_posix()] = file_hash(place)
        return found
