"""Training over two hosts that stops making sense is stopped: no more steps, or a loss that is no number."""

import os
import signal
from pathlib import Path

import pytest

pytestmark = pytest.mark.real


@pytest.mark.parametrize("executor", ["ssh", pytest.param("slurm", marks=pytest.mark.full)])
def test_a_rank_that_stops_making_steps(fault, executor, tell):
    """A stopped rank is named after timeouts.stall, the stacks of the others are kept, and all ranks end."""
    fault.executor = executor
    job = fault.start(script="stepping.py", more="  runtime: true\n")
    job.until(lambda: job.steps() >= 3, seconds=90)
    (rank,) = (pid for pid, line in fault.lab.pids("node-b").items() if is_rank(pid, line))
    os.kill(rank, signal.SIGSTOP)
    seconds = job.end(within=60)
    tell(f"a rank stops making steps over {executor}", job, seconds)
    assert seconds >= 5
    assert job.exit not in (0, 78), job.told()
    assert "no step for 6 s: rank 1 on node-b is late" in job.err
    assert list((job.run / "stacks").iterdir())
    fault.lab.wait_empty()


def test_a_loss_that_is_no_number(fault, tell):
    """A loss that is not finite, several times in a row, stops the run at the step that it names."""
    job = fault.start(script="stepping.py", args="['nan:5']", more="  runtime: true\n")
    seconds = job.end(within=90)
    tell("a loss turns NaN", job, seconds)
    assert job.exit not in (0, 78), job.told()
    assert "rank 0 on node-a" in job.err
    assert "the loss is not finite since optimizer step 5: 3 steps in a row" in job.err
    fault.lab.wait_empty()


def is_rank(pid, line):
    """The process of the script itself, not the engine that waits for it."""
    environ = Path(f"/proc/{pid}/environ").read_bytes()
    return "stepping.py" in line and b"\0LOCAL_RANK=" in environ
