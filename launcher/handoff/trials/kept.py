"""What is kept beside a recipe, in `.batchwright`: measurements, and the versions of the last run that went well."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from launcher.handoff.files import write_atomically

__all__ = ["KEPT", "keep"]

KEPT = ".batchwright"


def keep(file: Path, content: Mapping[str, object]) -> None:
    """The file as a whole; its `.batchwright` folder keeps itself out of git."""
    folder = next(each for each in file.parents if each.name == KEPT)
    ignore = folder / ".gitignore"
    if not ignore.exists():
        write_atomically(ignore, "*\n")
    write_atomically(file, json.dumps(content, indent=1) + "\n")
