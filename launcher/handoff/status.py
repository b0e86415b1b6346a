"""RUN/status.json: what programs read instead of an exit code."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from launcher.handoff.files import write_atomically

__all__ = ["State", "time_stamp", "write_status"]

State = Literal["running", "submitted", "done", "failed", "interrupted"]


def write_status(directory: Path, *, state: State, facts: Mapping[str, Any]) -> None:
    """Replaces the file as a whole."""
    write_atomically(directory / "status.json", json.dumps({"state": state, **facts}, indent=1) + "\n")


def time_stamp(seconds: float) -> str:
    """Seconds since the epoch as `2026-11-21T23:01:07Z`."""
    from datetime import datetime, timezone

    return datetime.fromtimestamp(seconds, tz=timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
