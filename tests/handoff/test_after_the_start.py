"""`batchwright status`, `logs` and `stop`: a run seen and ended from another terminal, with a fake engine behind it."""

import json
import os
import signal
import subprocess
from pathlib import Path

import pytest

MESSAGES = Path(__file__).parent / "messages"


@pytest.fixture
def command(jobs):
    """Runs another batchwright command in the same folder."""

    def run(*words, **environ):
        return subprocess.run(
            [str(jobs.bin / "batchwright"), *words],
            cwd=jobs.folder,
            env=jobs.environ(**environ),
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    return run


def test_a_run_that_is_none(jobs, command):
    """A wrong name is told with the newest run that there is."""
    jobs.run("--run-dir", "runs/first", does="exit:0")
    for verb in ("status", "logs", "stop"):
        ran = command(verb, "nope")
        assert (ran.returncode, ran.stderr) == (1, (MESSAGES / "run-not-found.txt").read_text())


def test_a_rendered_folder_is_no_run(jobs, command):
    """What was rendered and never started is said to be that."""
    command("render", str(jobs.recipe), "-o", "job")
    assert "`job` was rendered and never started [run-not-found]" in command("status", "job").stderr


def test_status_of_a_run_that_is_over(jobs, command):
    """State, last step and exit code, for people and for programs; only a good end is exit code 0."""
    jobs.run("--run-dir", "runs/good", does="log:3 print:hello exit:0")
    good = command("status", "good")
    assert good.returncode == 0
    first, step, last = good.stdout.splitlines()
    assert first.startswith(f"done        {jobs.folder}/runs/good ")
    assert "2 processes, torchrun over local" in first
    assert step == "step        3, loss 1.667, learning rate 0.1"
    assert last == "exit code   0"
    jobs.run("--run-dir", "runs/bad", does="rank:1:17:5:boom exit:1")
    bad = command("status", "runs/bad", "--json")
    told = json.loads(bad.stdout)
    assert bad.returncode == 1
    assert (told["state"], told["exit"], told["failed_rank"]) == ("failed", 17, 1)
    assert told["ended_ranks"] == [{"rank": 1, "host": "here", "exit": 17}]


def test_status_shows_what_was_said_last(jobs, command):
    """Of the training's remarks the latest one; all of them for programs."""
    jobs.run("--run-dir", "runs/good", does="log:3 print:hello exit:0")
    remarks = [{"step": step, "code": "loss-spike", "words": f"the loss is {step}"} for step in (1, 3)]
    (jobs.folder / "runs/good/remarks.jsonl").write_text("".join(json.dumps(each) + "\n" for each in remarks))
    line = command("status", "good").stdout.splitlines()[2]
    assert line == "remark      step 3: the loss is 3 [loss-spike] (1 more in remarks.jsonl)"
    assert json.loads(command("status", "good", "--json").stdout)["remarks"] == remarks


def test_a_running_job_is_seen_and_stopped(jobs, command):
    """While it runs: its step, its log as it grows; stop ends it and everything it started."""
    started = jobs.start("--run-dir", "runs/long", does="print:hello log:2 child hang")
    jobs.wait_for(".hangs")
    seen = command("status", "long")
    assert seen.returncode == 0
    assert seen.stdout.startswith("running ")
    assert "step        2, loss 2.500" in seen.stdout
    follower = subprocess.Popen(
        [str(jobs.bin / "batchwright"), "logs", "long", "--follow"],
        cwd=jobs.folder,
        env=jobs.environ(),
        stdout=subprocess.PIPE,
        text=True,
    )
    stopped = command("stop", "long")
    assert stopped.returncode == 0, stopped.stderr
    assert stopped.stderr.splitlines()[-1] == "ended: interrupted"
    assert started.wait(timeout=20) == 143
    started.communicate()
    assert follower.communicate(timeout=20)[0] == "hello\n"
    assert follower.returncode == 0
    assert jobs.left() == []
    again = command("stop", "long")
    assert (again.returncode, again.stderr) == (0, "long has ended already: interrupted, exit code 143\n")


def test_stop_now_does_not_wait(jobs, command):
    """A job that ignores SIGTERM ends at once with --now, however long its grace."""
    started = jobs.start("--run-dir", "runs/x", "--set", "launch.timeouts.grace=60 s", does="ignore hang")
    jobs.wait_for(".hangs")
    assert command("stop", "x", "--now").returncode == 0
    started.communicate(timeout=20)
    assert jobs.left() == []


def test_a_run_whose_starter_was_killed(jobs, command):
    """`lost` is said, with what still runs; stop ends that too and writes the end down."""
    started = jobs.start("--run-dir", "runs/x", does="child hang")
    jobs.wait_for(".hangs")
    os.kill(started.pid, signal.SIGKILL)
    started.communicate()
    lost = command("status", "x")
    assert lost.returncode == 1
    assert lost.stdout.startswith("lost ")
    assert "2 processes of it still run" in lost.stdout
    assert command("stop", "x").returncode == 0
    assert jobs.left() == []
    told = command("status", "x")
    assert told.stdout.startswith("interrupted ")
    assert told.stdout.splitlines()[-1] == "exit code   143, ended by batchwright stop"


def test_logs_of_one_rank(jobs, command):
    """One rank's file alone, its last lines, and words where there is none."""
    jobs.run("--run-dir", "runs/x", does="exit:0")
    log = jobs.folder / "runs" / "x" / "logs" / "rank-1.log"
    log.write_text("one\ntwo\nthr\u00e9e\n")
    assert command("logs", "x", "--rank", "1").stdout == "one\ntwo\nthr\u00e9e\n"
    assert command("logs", "x", "--rank", "1", "--tail", "2").stdout == "two\nthr\u00e9e\n"
    none = command("logs", "x", "--rank", "0")
    assert (none.returncode, none.stderr.startswith("there is no rank-0.log")) == (1, True)
    wrong = command("logs", "x", "--rank", "2")
    assert wrong.returncode == 1
    assert "this run has ranks 0 to 1 [out-of-range]" in wrong.stderr
