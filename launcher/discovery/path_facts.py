"""Which files and folders a host sees, and whether run folders can be made there.

Standard library only, Python 3.8 and later: sent as text to hosts where nothing is installed.
"""

from __future__ import annotations

import os
import tempfile
import zlib
from functools import partial
from pathlib import Path
from typing import Any, Mapping  # noqa: UP035 - Python 3.8

from launcher.discovery.timed import CHECK_SECONDS, in_parallel

__all__ = ["paths", "run_parent"]

Request = Mapping[str, Any]


def paths(request: Request) -> dict[str, dict[str, Any]]:
    """Per path asked for: whether it is there and can be read; of files their bytes and checksum."""
    workdir = request.get("workdir")
    asked = {"workdir": workdir, "script": request.get("script")}
    asked.update({f"data.paths.{index}": path for index, path in enumerate(request.get("paths") or ())})
    jobs = {
        name: (partial(_seen, Path(workdir or ".", path)), CHECK_SECONDS - 0.5)
        for name, path in asked.items()
        if path
    }
    found, failed = in_parallel(jobs)
    return {**found, **{name: {"path": asked[name], "why": why} for name, why in failed.items()}}


def _seen(path: Path) -> dict[str, Any]:
    try:
        if path.is_dir():
            next(path.iterdir(), None)
            return {"path": str(path), "folder": True}
        with path.open("rb") as file:
            head = file.read(1 << 20)
        return {
            "path": str(path),
            "folder": False,
            "bytes": path.stat().st_size,
            "checksum": zlib.crc32(head),
        }
    except OSError as error:
        return {"path": str(path), "why": error.strerror or str(error)}


def run_parent(request: Request) -> dict[str, Any]:
    """Whether run folders can be made there, bytes free, and whether it is the caller's own folder (shared)."""
    asked = Path(request.get("run_parent") or tempfile.gettempdir())
    folder = next((each for each in (asked, *asked.parents) if each.is_dir()), asked)
    mark = request.get("mark")
    found: dict[str, Any] = {"path": str(asked), "shared": bool(mark) and Path(str(mark)).exists()}
    space = os.statvfs(folder)
    found.update(
        free_bytes=space.f_bavail * space.f_frsize, free_files=space.f_favail if space.f_files else None
    )
    try:
        handle, name = tempfile.mkstemp(prefix=".batchwright-", dir=folder)
        os.close(handle)
        Path(name).unlink()
    except OSError as error:
        found["why"] = error.strerror or str(error)
    return found
