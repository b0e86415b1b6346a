"""Ends a run from outside: through the process that started it, through its executor, or by its processes' mark."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

from launcher.handoff.afterwards.run_record import RunRecord, read_run
from launcher.handoff.running.processes import send
from launcher.handoff.status import time_stamp, write_status

__all__ = ["stop_run"]

_LOOK_AGAIN = 0.1
_SLACK = 15.0  # seconds beyond the grace for the last records to be written and copied back


def stop_run(directory: Path, *, now: bool, say: Callable[[str], None]) -> int:
    """Asks a run to end and waits for it: exit code 0 when nothing of it runs any more.

    now: without grace. The process that started the run is asked first, because it writes how the run ended; where
    it is gone, or was never meant to stay, the executor's own commands are used, and here the processes' mark.
    """
    record = read_run(directory)
    if record.state not in {"running", "submitted", "lost"}:
        say(f"{directory.name} has ended already: {record.state}, exit code {record.status.get('exit')}")
        return 0
    grace = 0.0 if now else record.plan.launch.grace_seconds
    if record.is_here and record.launcher_lives:
        return _through_launcher(record, grace=grace, now=now, say=say)
    if commands := [tuple(words) for words in record.bundle.get("stop", ())]:
        return _through_executor(record, commands, say=say)
    if not record.is_here:
        say(f"the run was started on {record.status.get('host')}: stop it there")
        return 1
    return _by_mark(record, grace=grace, say=say)


def _through_launcher(record: RunRecord, *, grace: float, now: bool, say: Callable[[str], None]) -> int:
    pid = int(record.status["pid"])
    say(f"asking process {pid} to end {record.directory.name}, waiting up to {grace + _SLACK:g} s")
    os.kill(pid, signal.SIGTERM)
    if now:
        time.sleep(_LOOK_AGAIN)  # the second request means at once; two in one moment could be read as one
        os.kill(pid, signal.SIGTERM)
    if not _until(lambda: not record.launcher_lives, seconds=grace + _SLACK):
        say(f"process {pid} still runs; once more with --now, or kill -KILL {pid}")
        return 1
    say(f"ended: {read_run(record.directory).state}")
    return 0


def _through_executor(
    record: RunRecord, commands: list[tuple[str, ...]], *, say: Callable[[str], None]
) -> int:
    """The executor's commands, in their order; the last one decides, the first ones may find nothing to do."""
    limit = record.plan.launch.grace_seconds + 2 * _SLACK
    code = 0
    for words in commands:
        try:
            ran = subprocess.run(
                words, capture_output=True, text=True, errors="replace", timeout=limit, check=False
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            say(f"`{words[0]}`: {error}")
            return 1
        code = ran.returncode
        for line in (ran.stdout + ran.stderr).splitlines():
            say(f"{words[0]}: {line}")
    if code == 0:
        _write_end(record)
        say(f"ended: {read_run(record.directory).state}")
    return 1 if code else 0


def _by_mark(record: RunRecord, *, grace: float, say: Callable[[str], None]) -> int:
    """Processes here that carry the run's mark, whose starter is gone."""
    found = record.processes
    if found:
        say(f"asking {len(found)} processes to end, waiting up to {grace:g} s")
        send(found, signal.SIGTERM)
        if not _until(lambda: not record.processes, seconds=grace):
            send(record.processes, signal.SIGKILL)
        if not _until(lambda: not record.processes, seconds=_SLACK):
            say(f"still running: {', '.join(str(each.pid) for each in record.processes)}")
            return 1
    _write_end(record)
    say("ended: nothing of it runs any more" if found else "nothing of it runs any more")
    return 0


def _write_end(record: RunRecord) -> None:
    """The last word of a run whose own process cannot write it."""
    latest = read_run(record.directory)
    if latest.state not in {"running", "submitted", "lost"}:
        return
    code = 128 + signal.SIGTERM
    facts = {key: value for key, value in latest.status.items() if key != "state"}
    facts |= {"exit": code, "ended": time_stamp(time.time()), "message": "ended by batchwright stop"}
    write_status(record.directory, state="interrupted", facts=facts)


def _until(reached: Callable[[], bool], *, seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while not reached():
        if time.monotonic() > deadline:
            return False
        time.sleep(_LOOK_AGAIN)
    return True
