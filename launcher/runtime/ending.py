"""How a rank ends when the world is not the planned one: words on stderr, a record in the run folder, exit code 1."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import NoReturn

from batchwright_witness.exits import record_exit
from launcher.errors import Problem
from launcher.runtime.world import World

__all__ = ["leave", "say"]

EXIT = 1


def say(problems: Sequence[Problem]) -> None:
    """The problems on stderr, as a person reads them."""
    print("\n".join(str(problem) for problem in problems), file=sys.stderr, flush=True)


def leave(world: World, *, error: str) -> NoReturn:
    """Ends this process with code 1, with its record written.

    os._exit: an ordinary exit can hang in a communication library whose partners are gone.
    """
    record_exit(folder=world.folder, rank=world.rank, code=EXIT, error=error)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(EXIT)
