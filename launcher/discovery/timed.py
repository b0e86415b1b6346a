"""Checks side by side, each with its own time-out: a file system that hangs hides nothing else.

Standard library only, Python 3.8 and later: sent as text to hosts where nothing is installed.
"""

from __future__ import annotations

import threading
import time
from typing import Any, Callable, Mapping  # noqa: UP035 - Python 3.8

__all__ = ["CHECK_SECONDS", "in_parallel"]

CHECK_SECONDS = 3.0


def in_parallel(
    checks: Mapping[str, tuple[Callable[[], Any], float]],
) -> tuple[dict[str, Any], dict[str, str]]:
    """What each check found, and why the others did not, by name. checks: each with its time-out in seconds."""
    found: dict[str, Any] = {}
    failed: dict[str, str] = {}

    def run(name: str, check: Callable[[], Any]) -> None:
        try:
            found[name] = check()
        except Exception as error:  # noqa: BLE001 - a fact that cannot be had is said, whatever the reason
            failed[name] = f"{type(error).__name__}: {error}"

    start = time.monotonic()
    threads = {}
    for name, (check, seconds) in checks.items():
        threads[name] = (threading.Thread(target=run, args=(name, check), daemon=True), seconds)
        threads[name][0].start()
    for name, (thread, seconds) in threads.items():
        thread.join(max(0.0, start + seconds - time.monotonic()))
        if thread.is_alive():
            failed[name] = f"no answer within {seconds:g} s"
    return {name: found[name] for name in checks if name in found and name not in failed}, dict(failed)
