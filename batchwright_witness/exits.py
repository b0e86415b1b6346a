"""How this rank ended, as RUN/ranks/<rank>.json: engines turn every failure into 1, this file keeps the number.

The runtime writes its own end with this too. It lies here because the witness leaves nothing of `launcher` imported.
"""

from __future__ import annotations

import json
import os
import socket
import time
from pathlib import Path
from typing import Any

__all__ = ["exit_of", "record_exit"]


def exit_of(error: BaseException | None) -> tuple[int, str | None]:
    """Exit code and words for what the script raised; None is a script that came to its end.

    Source: CPython Python/pythonrun.c:handle_system_exit (a code that is no number is printed, and 1).
    """
    if error is None:
        return 0, None
    if isinstance(error, SystemExit):
        if error.code is None:
            return 0, None
        if isinstance(error.code, int):
            code = error.code & 0xFF
            return code, f"sys.exit({error.code})" if code else None
        return 1, str(error.code)
    if isinstance(error, KeyboardInterrupt):
        return 130, "interrupted"
    words = f"{type(error).__name__}: {error}"
    return 1, words


def record_exit(
    *, folder: Path, rank: int, code: int, error: str | None, more: dict[str, Any] | None = None
) -> None:
    """Write the file whole or not at all, mode 0600; a full disk must not hide the exit code itself."""
    record = {"rank": rank, "host": socket.gethostname(), "exit": code, "error": error, "time": time.time()}
    record.update(more or {})
    target = folder / "ranks" / f"{rank}.json"
    partial = target.with_suffix(f".{os.getpid()}.partial")
    try:
        target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with os.fdopen(
            os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8"
        ) as file:
            json.dump(record, file, indent=1)
            file.write("\n")
        partial.replace(target)
    except OSError:
        return
