"""Several commands as one job, in this process."""

import os
import signal
import time

import pytest

from launcher.errors import HandoffError
from launcher.handoff.running.attending import Deadline
from launcher.handoff.running.commands import JobCommand
from launcher.handoff.running.job import run_job
from launcher.handoff.running.processes import processes_of_run
from launcher.handoff.running.signals import signals_as_bytes


@pytest.fixture
def run(tmp_path):
    """Runs shell texts as the commands of one job; its ending, its output and what was said."""

    def start(*texts, grace_seconds=20.0, send=None, attendants=()):
        mark = str(tmp_path / "run")
        heard, said = [], []
        with signals_as_bytes() as wake:
            if send is not None:
                os.kill(os.getpid(), send)
            ending = run_job(
                commands=[
                    JobCommand(
                        argv=("sh", "-c", text) if text else ("/no/such/program",),
                        env={"PATH": "/usr/bin:/bin", "BATCHWRIGHT_RUN": mark},
                        directory=str(tmp_path),
                    )
                    for text in texts
                ],
                run=mark,
                wake=wake,
                grace_seconds=grace_seconds,
                output=lambda number, data: heard.append((number, data)),
                say=said.append,
                attendants=attendants,
            )
        assert processes_of_run(run=mark, leaders=()) == ()
        return ending, heard, said

    return start


def test_all_commands_end_well(run):
    """A job is done when every command is."""
    ending, heard, _ = run("echo one", "echo two >&2")
    assert (ending.returncode, ending.interrupted_by, ending.left_behind) == (0, None, ())
    assert sorted(heard) == [(1, b"one\n"), (2, b"two\n")]


def test_one_failure_ends_the_others(run):
    """When one node's command fails, the others do not wait for it for ever."""
    before = time.monotonic()
    ending, _, _ = run("sleep 300", "exit 3")
    assert ending.returncode == 3
    assert time.monotonic() - before < 15


def test_what_is_started_in_order_to_end_is_left_to_its_starter(run, tmp_path):
    """A script that starts a program when it is asked to end, to upload what it saved, sees it through."""
    uploads = "trap 'sleep 1; touch saved; exit 0' TERM; touch up; while :; do sleep 0.05; done"
    before = time.monotonic()
    ending, _, _ = run(uploads, "until [ -e up ]; do sleep 0.05; done; exit 3")
    assert ending.returncode == 3
    assert (tmp_path / "saved").exists()
    assert time.monotonic() - before > 1  # the program was not cut short


def test_a_command_that_cannot_start_ends_the_first(run):
    """Nothing of a job stays when its second command cannot be started."""
    with pytest.raises(HandoffError, match="cannot be started"):
        run("sleep 300", None)


def test_asked_before_the_start(run, tmp_path):
    """A request to end that came while folders were written starts nothing."""
    ending, _, _ = run("touch started", send=signal.SIGTERM)
    assert ending.interrupted_by == signal.SIGTERM
    assert not (tmp_path / "started").exists()


def test_a_long_last_word_is_whole(run):
    """Output that is still in the pipe when a command has ended is not lost."""
    _, heard, _ = run("head -c 3000000 /dev/zero")
    assert sum(len(data) for _, data in heard) == 3_000_000


def test_handlers_are_put_back(run):
    """After a job the process meets signals as it did before."""
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)]
    run("true")
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)] == before


def test_a_deadline_ends_a_job(run):
    """What takes longer than it may is asked to end, and nobody is said to have interrupted it."""
    before = time.monotonic()
    ending, _, _ = run("sleep 300", attendants=[Deadline(0.5)])
    assert (ending.returncode, ending.interrupted_by) == (-signal.SIGTERM, None)
    assert 0.5 < time.monotonic() - before < 15
