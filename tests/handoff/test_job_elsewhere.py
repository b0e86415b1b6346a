"""A job whose commands here only wait for processes on other machines."""

import os
import signal
import threading
import time

import pytest

from launcher.handoff.running.commands import JobCommand
from launcher.handoff.running.following import GrowingFile
from launcher.handoff.running.job import run_job
from launcher.handoff.running.signals import signals_as_bytes


@pytest.fixture
def start(tmp_path):
    """Runs a shell text that waits, beside shell texts that ask it to end; its ending and what was said."""

    def command(text):
        return JobCommand(argv=("sh", "-c", text), env={"PATH": "/usr/bin:/bin"}, directory=str(tmp_path))

    def run(text, *, stop=(), grace_seconds=20.0, signals=(), log=None):
        heard, said = [], []

        def interrupt():
            for number, after in signals:
                time.sleep(after)
                os.kill(os.getpid(), number)

        with signals_as_bytes() as wake:
            thread = threading.Thread(target=interrupt)
            thread.start()
            ending = run_job(
                commands=[command(text)],
                run=None,
                wake=wake,
                grace_seconds=grace_seconds,
                output=lambda number, data: heard.append((number, data)),
                say=said.append,
                stop=[command(each) for each in stop],
                log=log,
            )
            thread.join()
        return ending, heard, said

    return run


WAITS = "until [ -e asked ]; do sleep 0.05; done; exit 143"


def test_stop_commands_ask_instead_of_a_signal(start, tmp_path):
    """Ctrl-C runs the stop commands in their order and waits for the commands, which get no signal."""
    ending, _, said = start(
        f"trap 'touch got-a-signal' TERM; {WAITS}",
        stop=["echo one >>order", "echo two >>order; touch asked"],
        signals=[(signal.SIGINT, 0.5)],
    )
    assert (ending.interrupted_by, ending.returncode) == (signal.SIGINT, 143)
    assert (tmp_path / "order").read_text() == "one\ntwo\n"
    assert not (tmp_path / "got-a-signal").exists()
    assert said == ["SIGINT: asked the job to end, waiting up to 20 s; Ctrl-C again ends it at once"]


def test_a_second_signal_asks_again(start, tmp_path):
    """The second request reaches the other machines too: their launchers end the job at once."""
    text = "until [ $(cat asks 2>/dev/null | wc -l) = 2 ]; do sleep 0.05; done; exit 137"
    ending, _, _ = start(text, stop=["echo >>asks"], signals=[(signal.SIGTERM, 0.5), (signal.SIGTERM, 0.5)])
    assert (ending.interrupted_by, ending.returncode) == (signal.SIGTERM, 137)


@pytest.mark.parametrize(
    ("ends", "asks"), [("kill -9 $$", 1), ("exit 255", 1), ("exit 17", 0), ("exit 0", 0)]
)
def test_a_lost_connection_is_swept_after(start, tmp_path, ends, asks):
    """A command that was killed or lost its connection cannot have waited for the job; then the job is asked to end."""
    start(ends, stop=["echo >>asks"])
    assert (tmp_path / "asks").exists() == bool(asks)


def test_a_host_that_does_not_answer_the_sweep_is_said(start):
    """A stop command that fails leaves a warning: something may still run there."""
    ending, _, said = start("exit 255", stop=["exit 1"])
    assert ending.returncode == 255
    assert said == ["warning: not every host answered when it was asked to end the job"]


def test_ctrl_c_ends_the_sweep(start):
    """A person who does not want to wait for a host that does not answer does not have to."""
    before = time.monotonic()
    _, _, said = start("exit 255", stop=["sleep 60", "touch never"], signals=[(signal.SIGINT, 1.0)])
    assert time.monotonic() - before < 15
    assert said == ["warning: not every host answered when it was asked to end the job"]


def test_a_file_that_grows_is_output(start, tmp_path):
    """What a scheduler writes for the job is handed on while the job runs, to its last line."""
    log = tmp_path / "job.log"
    ending, heard, _ = start(
        "for n in 1 2 3; do echo $n >>job.log; sleep 0.6; done; echo end >>job.log", log=log
    )
    assert ending.returncode == 0
    assert b"".join(data for _, data in heard) == b"1\n2\n3\nend\n"
    assert len(heard) > 1


def test_a_file_cut_short_is_read_again(tmp_path):
    """A requeued job begins its file anew."""
    path = tmp_path / "log"
    file = GrowingFile(path)
    assert file.news() == b""
    path.write_bytes(b"first try")
    assert (file.news(), file.news()) == (b"first try", b"")
    path.write_bytes(b"next")
    assert file.news() == b"next"
