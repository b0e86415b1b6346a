"""One command of a job as a process in a session of its own."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from launcher.errors import HandoffError, Problem

__all__ = ["JobCommand", "start_command"]


@dataclass(frozen=True, slots=True, kw_only=True)
class JobCommand:
    """One command, with its whole environment, and the folder it runs in."""

    argv: tuple[str, ...]
    env: Mapping[str, str]
    directory: str


def start_command(
    command: JobCommand, *, piped: bool = True, survives: bool = True
) -> subprocess.Popen[bytes]:
    """The process, head of a new session. piped: its output can be read, else it goes nowhere.

    survives: False: the kernel asks it to end should this process be killed. Raises
    HandoffError[executable-not-found].
    """
    output = subprocess.PIPE if piped else subprocess.DEVNULL
    try:
        return subprocess.Popen(
            command.argv,
            env=command.env,
            cwd=command.directory,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
            preexec_fn=None if survives else _end_with_parent(),  # noqa: PLW1509 - one system call, nothing of Python's
        )
    except OSError as error:
        # it is there and executable, and still no program: a wrong machine, a broken file
        problem = Problem(
            code="executable-not-found",
            path="launch.engine",
            message=f"`{command.argv[0]}` cannot be started: {error.strerror}",
            hint="install the engine again",
        )
        raise HandoffError([problem]) from error


def _end_with_parent() -> Callable[[], object]:
    """What a new process does to be asked to end once its parent, this thread, is gone.

    Source: PR_SET_PDEATHSIG(2const).
    """
    import ctypes

    prctl = ctypes.CDLL(None).prctl
    return lambda: prctl(1, int(signal.SIGTERM))
