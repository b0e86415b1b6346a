"""Ranks that stand still, are slow, or compute nothing any more, under real torchrun: message, time, nothing left."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

SCRIPTS = Path(__file__).parent / "scripts"
RECIPE = """\
global_batch_size: 8
sequence_length: 16
hidden_size: 64
micro_batch_size: 2
gradient_accumulation_steps: 2
optimizer: {learning_rate: 0.001, name: sgd}
data: {num_samples: 40000}
loss: {weighting: sequences}
cluster: {nodes: 1, devices_per_node: 2, device: cpu}
launch:
  script: SCRIPT
  runtime: RUNTIME
  args: [WHAT]
  timeouts: {grace: 5 s, stall: 5 s}
checkpoint: {directory: kept}
"""
STALL = 5.0
SOON = 15.0
"""Seconds for two looks, the answers, and the end of the processes, on a machine that does other things too."""
pytestmark = pytest.mark.real


class Job:
    """`batchwright run` of one of the scripts."""

    def __init__(self, folder, what, *, runtime=False):
        script = "guarded_runtime.py" if runtime else "guarded.py"
        self.folder, self.run, self.script = folder, folder / "run", script
        (folder / script).write_text((SCRIPTS / script).read_text())
        recipe = RECIPE.replace("SCRIPT", script).replace("WHAT", what)
        (folder / "recipe.yaml").write_text(recipe.replace("RUNTIME", str(runtime).lower()))
        self.process = subprocess.Popen(
            [Path(sys.executable).with_name("batchwright"), "run", "recipe.yaml", "--run-dir", "run"],
            cwd=folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def beat(self, rank):
        """The latest of a rank; None before the first."""
        try:
            return json.loads((self.run / "beats" / str(rank)).read_bytes())
        except (OSError, ValueError):
            return None

    def wait_for_step(self, step):
        until = time.monotonic() + 90
        while not ((found := self.beat(1)) and found["steps"] >= step):
            assert time.monotonic() < until
            assert self.process.poll() is None, self.process.communicate()
            time.sleep(0.02)

    def end(self):
        """What `batchwright run` has to say, and the seconds from the last step to the end of everything."""
        try:
            _, said = self.process.communicate(timeout=120)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGTERM)
            pytest.fail(f"the run did not end\n{self.process.communicate(timeout=30)}")
        seconds = time.time() - max(self.beat(rank)["time"] for rank in range(2))
        assert self.left() == []
        return said, seconds

    def left(self):
        """Processes of the run that still live, and what copies their output."""
        mark, logs, found = f"BATCHWRIGHT_RUN={self.run}".encode(), str(self.run / "logs"), []
        for entry in Path("/proc").iterdir():
            try:
                if entry.name.isdigit() and (
                    mark in (entry / "environ").read_bytes().split(b"\0")
                    or any(str(link.readlink()).startswith(logs) for link in (entry / "fd").iterdir())
                ):
                    found.append((entry / "cmdline").read_bytes())
            except OSError:
                continue
        return found

    @property
    def status(self):
        return json.loads((self.run / "status.json").read_text())


def check_stall(job, details, said, seconds):
    """The closing line, the status file, the exit code, and the time it took."""
    host = os.uname().nodename
    message = f"no step for 5 s: rank 1 on {host} is late ({details}); stacks in run/stacks/"
    assert f"failed  {message} (after " in said
    status = job.status
    assert (job.process.returncode, status["exit"], status["state"], status["message"]) == (
        1,
        1,
        "failed",
        message,
    )
    assert (status["failed_rank"], status["failed_host"]) == (1, host)
    assert seconds < STALL + SOON


@pytest.mark.parametrize("runtime", [False, True])
def test_a_rank_that_loops_in_its_data(tmp_path, runtime):
    """The line of the endless loop is named, while the other rank waits in its backward; both stacks are kept."""
    job = Job(tmp_path, "loop", runtime=runtime)
    said, seconds = job.end()
    source = (tmp_path / job.script).read_text().splitlines()
    line = next(
        number for number, text in enumerate(source, start=1) if text.strip().startswith("while what")
    )
    places = {f"{job.script}:{at} in __getitem__" for at in (line, line + 1)}
    (place,) = [place for place in places if f"step 7, data, {place}" in said]
    check_stall(job, f"step 7, data, {place}", said, seconds)
    assert f"        | {place}\n" in said
    stacks = [(job.run / "stacks" / f"{rank}.txt").read_text() for rank in range(2)]
    assert "in __getitem__" in stacks[1]
    assert "backward" in stacks[0] or "all_reduce" in stacks[0]


def test_a_rank_that_is_stopped(tmp_path):
    """SIGSTOP: no stack can come from it, so the state of its process is told; it is woken to be ended."""
    job = Job(tmp_path, "none")
    job.wait_for_step(10)
    stopped = job.beat(1)["pid"]
    os.kill(stopped, signal.SIGSTOP)
    said, seconds = job.end()
    (details,) = [
        line.partition("late (")[2].partition("));")[0] + ")"
        for line in said.splitlines()
        if "late (" in line
    ]
    assert details.endswith(", stopped (T)")
    check_stall(job, details, said, seconds)
    assert not Path(f"/proc/{stopped}").exists()
    assert "first step\n" in (job.run / "logs" / "rank-1.log").read_text()


@pytest.mark.parametrize("runtime", [False, True])
def test_a_loss_that_turns_nan(tmp_path, runtime):
    """Rank 1's loss is nan from step 6 on: three steps later all ranks end, and the message says since when."""
    job = Job(tmp_path, "nan", runtime=runtime)
    said, seconds = job.end()
    message = "the loss of rank 1 is not finite since optimizer step 6: 3 steps in a row [loss-not-finite]"
    assert (job.process.returncode, job.status["failed_rank"]) == (1, 1)
    assert f"ended with exit code 1: {message}" in said
    kept = f"`{job.run}/kept/4.pt`" if runtime else None
    words = f"the latest checkpoint from before is {kept}" if kept else "no checkpoint from before is known"
    closing = said.partition("failed  ")[2]
    assert f"        |   {words}\n" in closing
    assert job.beat(1)["steps"] == 8
    assert seconds < SOON


def test_the_runtime_saves_no_spoiled_parameters(tmp_path):
    """Its state is not given out after a step whose loss was nan, so the last file is of the step before."""
    job = Job(tmp_path, "save", runtime=True)
    said, _ = job.end()
    assert (
        "not finite since optimizer step 6, and the parameters were about to be saved [loss-not-finite]"
        in said
    )
    assert sorted(path.name for path in (job.run / "kept").iterdir()) == [
        f"{step}.pt" for step in range(1, 6)
    ]


def test_a_slow_rank_is_named(tmp_path):
    """Once, while the training goes on."""
    job = Job(tmp_path, "slow")
    lines = []
    for line in job.process.stderr:
        lines.append(line)
        if line.startswith("slow"):
            break
    assert f"rank 1 on {os.uname().nodename} works " in lines[-1], lines
    assert "the others" in lines[-1]
    step = job.beat(0)["steps"]
    job.wait_for_step(step + 20)
    job.process.send_signal(signal.SIGINT)
    said, _ = job.end()
    assert job.process.returncode == 130
    assert "slow" not in said
