"""RUN/logs/rank-N.log: what this rank prints, kept beside the console, which goes on showing it.

A program of its own copies it, and no thread of ours: what a rank has printed must be kept when it is killed. It is
nobody's child and in nobody's session, so that it can read to the end after the rank's, and it ends by itself then.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from collections.abc import Mapping
from pathlib import Path

__all__ = ["keep_log"]

PROGRAM = Path(__file__).with_name("copier.py")
MARK = "BATCHWRIGHT_RUN"
"""By which a job's processes are found and ended; the copier is not to be."""


def keep_log(folder: Path, rank: int, environ: Mapping[str, str]) -> bool:
    """From here on the standard output and error of this process go through the copier; False where they do not.

    They do not without RUN/logs (a job that nobody keeps a folder for), and on a terminal, which a script may ask for.
    """
    if not (folder / "logs").is_dir() or os.isatty(1) or os.isatty(2):
        return False
    sys.stdout.flush()
    sys.stderr.flush()
    handles: list[int] = []
    try:
        with open(folder / "logs" / f"rank-{rank}.log", "ab", opener=_private) as log:
            handles += os.pipe()
            handles += os.pipe()
            out, into_out, errors, into_errors = handles
            _start((out, errors, log.fileno()), {k: v for k, v in environ.items() if k != MARK})
            os.dup2(into_out, 1)
            os.dup2(into_errors, 2)
    except OSError:
        return False
    finally:
        for handle in handles:
            os.close(handle)
    return True


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def _start(handles: tuple[int, int, int], environ: Mapping[str, str]) -> None:
    """The copier with three descriptors from 3 on, as the child of init. Source: daemon(7), double fork."""
    # higher numbers first: what lies at 3 to 5 now must not be overwritten before it is copied
    import fcntl

    high = [fcntl.fcntl(handle, fcntl.F_DUPFD_CLOEXEC, 10) for handle in handles]
    try:
        child = os.fork()
        if child == 0:
            _become_copier(high, environ)
        os.waitpid(child, 0)
    finally:
        for handle in high:
            os.close(handle)


def _become_copier(high: list[int], environ: Mapping[str, str]) -> None:
    with contextlib.suppress(BaseException):
        os.setsid()
        if os.fork() == 0:
            for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT):
                signal.signal(number, signal.SIG_IGN)
            for wanted, handle in enumerate(high, start=3):
                os.dup2(handle, wanted)
            os.closerange(3 + len(high), 1024)
            # -S: nothing of an environment is needed, and its start-up files may print
            os.execve(sys.executable, [sys.executable, "-S", str(PROGRAM)], dict(environ))  # noqa: S606
    os._exit(0)
