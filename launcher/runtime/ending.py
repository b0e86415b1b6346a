"""How a rank ends when the world is not the planned one: words on stderr, a record in the run folder, exit code 1."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from launcher.errors import Problem
from launcher.runtime.world import World

__all__ = ["leave", "record_exit", "say"]

EXIT = 1


def say(problems: Sequence[Problem]) -> None:
    """The problems on stderr, as a person reads them."""
    print("\n".join(str(problem) for problem in problems), file=sys.stderr, flush=True)


def leave(world: World, *, error: str) -> NoReturn:
    """Ends this process with code 1, with its record written.

    os._exit: an ordinary exit can hang in a communication library whose partners are gone.
    """
    record_exit(world, error=error)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(EXIT)


def record_exit(world: World, *, error: str) -> Path:
    """Writes ranks/RANK.json: launchers turn every failure into one code, this file keeps which rank said what."""
    folder = world.folder / "ranks"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    path = folder / f"{world.rank}.json"
    record = {"rank": world.rank, "host": world.host, "exit": EXIT, "error": error, "time": time.time()}
    draft = path.with_suffix(f".{os.getpid()}")
    with os.fdopen(
        os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8"
    ) as file:
        json.dump(record, file)
    draft.replace(path)
    return path
