"""Which checkpoint was written before things went wrong."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

__all__ = ["checkpoint_folders", "latest_checkpoint"]

_POINTERS = {"latest"}
"""Files that name a checkpoint and are none."""
_BESIDE = {".csv", ".json", ".log", ".md", ".py", ".txt", ".yaml"}
"""Of files that lie beside checkpoints: DeepSpeed puts scripts there, trainers their state and logs.

Source: deepspeed@0.19.8 runtime/engine.py:DeepSpeedEngine._copy_recovery_script (zero_to_fp32.py).
"""


def checkpoint_folders(checkpoint: Mapping[str, Any] | None, *beside: Path) -> tuple[Path, ...]:
    """Where checkpoint.directory may be: scripts take it from the run folder or from their own."""
    name = checkpoint.get("directory") if checkpoint else None
    return tuple(folder / name for folder in beside) if name else ()


def latest_checkpoint(folders: Iterable[Path], *, before: float | None) -> str | None:
    """Path of the newest entry of the folders that was complete at a time (seconds since the epoch); any when None.

    A folder is as new as the newest file in it, three levels deep: one that is being written is not from before.
    """
    entries = [path for folder in folders for path in _entries(folder)]
    found = [(written, str(path)) for path in entries if (written := _written(path, 3)) is not None]
    known = [each for each in found if before is None or each[0] <= before]
    return max(known)[1] if known else None


def _entries(folder: Path) -> list[Path]:
    try:
        found = [path for path in folder.iterdir() if not path.name.startswith(".")]
    except OSError:
        return []
    return [path for path in found if path.name not in _POINTERS and not _is_beside(path)]


def _is_beside(path: Path) -> bool:
    return path.suffix in _BESIDE and path.is_file()


def _written(path: Path, depth: int) -> float | None:
    """When a file, or the newest file below a folder, was written last; None for nothing."""
    try:
        if not path.is_dir():
            facts = path.stat()
            return facts.st_mtime if facts.st_size else None
        below = [_written(entry, depth - 1) for entry in path.iterdir()] if depth else []
    except OSError:
        return None
    return max((each for each in below if each is not None), default=None)
