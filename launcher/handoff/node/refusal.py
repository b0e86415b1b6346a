"""Why a job is not started: as an exception on this node, and as what the other nodes are told."""

from __future__ import annotations

import os
from collections.abc import Iterable

from launcher.errors import HandoffError, Problem
from launcher.handoff.running.signals import ENDING

__all__ = ["REFUSED", "Asked", "Refusal", "Told", "joined", "raise_if_asked", "refusal"]

REFUSED = 78
"""Exit code of a node, and of a run, that started nothing."""


class Refusal(HandoffError):  # noqa: N818 - what the nodes say, not a fault of the program
    """The nodes did not come together; nothing was started."""


class Told(Exception):  # noqa: N818 - it is no error of this node
    """The main node ended the meeting, in its own words."""

    def __init__(self, words: str, *, exit: int) -> None:  # noqa: A002 - the word of status.json
        self.words, self.exit = words, exit
        super().__init__(words)


class Asked(Exception):  # noqa: N818 - a request, no error
    """Somebody asked this node to end before the job was started."""

    def __init__(self, number: int) -> None:
        self.number = number
        super().__init__(str(number))


def refusal(code: str, message: str, *because: str, path: str = "", hint: str) -> Refusal:
    """A refusal with one problem."""
    return Refusal([Problem(code=code, message=message, because=because, path=path, hint=hint)])


def joined(problems: Iterable[Problem]) -> str:
    """The lines of all problems."""
    return "\n".join(str(problem) for problem in problems)


def raise_if_asked(wake: int) -> None:
    """Raises Asked for a signal that has come. wake: descriptor of signals_as_bytes()."""
    try:
        numbers = os.read(wake, 64)
    except BlockingIOError:
        return
    for number in numbers:
        if number in ENDING:
            raise Asked(number)
