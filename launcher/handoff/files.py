"""Files that only their owner reads, and that are whole or absent."""

from __future__ import annotations

import os
from pathlib import Path

__all__ = ["make_folder", "write_atomically", "write_file"]


def make_folder(path: Path) -> None:
    """A folder for its owner only (0700), whatever the umask; parents as usual."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.mkdir(mode=0o700)
    path.chmod(0o700)


def write_file(path: Path, text: str) -> None:
    """A new file for its owner only (0600); parents are made 0700."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "w", encoding="utf-8", errors="surrogateescape", newline="") as stream:
        stream.write(text)


def write_atomically(path: Path, text: str) -> None:
    """A file for its owner only, replaced as a whole: a reader sees the old text or the new one."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.{os.getpid()}-{os.urandom(4).hex()}")
    try:
        write_file(beside, text)
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)
