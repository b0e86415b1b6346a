"""`batchwright run` with the engines themselves: the failing rank's own code comes out, whatever they make of it."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

RECIPE = """\
global_batch_size: 12
sequence_length: 16
hidden_size: 64
cluster: {nodes: 1, devices_per_node: 2, device: cpu}
launch:
  script: train.py
  timeouts: {grace: 5 s}
"""
SCRIPT = """\
import os, signal, sys, time
rank = int(os.environ["RANK"])
sys.stdout.write(f"rank {rank} of {os.environ['WORLD_SIZE']}\\n")
"""
ENGINES = ["torchrun", "accelerate", "deepspeed"]
pytestmark = pytest.mark.real


def start(folder, script, engine, *options):
    (folder / "train.py").write_text(SCRIPT + script)
    (folder / "recipe.yaml").write_text(RECIPE)
    words = ["run", "recipe.yaml", "--set", f"launch.engine={engine}", "--run-dir", "run", *options]
    return subprocess.Popen(
        [Path(sys.executable).with_name("batchwright"), *words],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def ended(process):
    """Output and errors; after two minutes the whole group is ended, and with it everything of the job."""
    try:
        return process.communicate(timeout=120)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGTERM)
        out, err = process.communicate(timeout=30)
        pytest.fail(f"the run did not end\n{out}\n{err}")


def left(folder):
    """Processes of the run that still live."""
    mark = f"BATCHWRIGHT_RUN={folder / 'run'}".encode()
    found = []
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and mark in (entry / "environ").read_bytes().split(b"\0"):
                found.append(entry.name)
        except OSError:
            continue
    return found


@pytest.mark.parametrize("engine", ENGINES)
def test_the_failing_ranks_own_code(tmp_path, engine):
    """Rank 1 leaves with 17 while rank 0 waits: exit code 17, rank and error named, nobody left waiting."""
    script = "if rank == 1:\n    sys.exit(17)\ntime.sleep(300)\n"
    process = start(tmp_path, script, engine)
    out, err = ended(process)
    assert process.returncode == 17, err
    assert "rank 1 of 2" in out
    assert "failed  rank 1 on " in err
    assert "ended with exit code 17: sys.exit(17)" in err
    status = json.loads((tmp_path / "run" / "status.json").read_text())
    assert (status["state"], status["exit"], status["failed_rank"]) == ("failed", 17, 1)
    assert left(tmp_path) == []


def test_a_rank_that_is_killed(tmp_path):
    """A rank that ends by SIGKILL leaves no record; torchrun's own report names it, and 137 comes out."""
    process = start(
        tmp_path, "if rank == 1:\n    os.kill(os.getpid(), signal.SIGKILL)\ntime.sleep(300)\n", "torchrun"
    )
    _, err = ended(process)
    assert process.returncode == 137, err
    assert "failed  rank 1 on " in err
    assert left(tmp_path) == []


def test_an_error_is_shown_with_its_lines(tmp_path):
    """What the rank raised stands in the last lines, without the page that torchrun prints after it."""
    process = start(
        tmp_path,
        "def load():\n    raise FileNotFoundError('shard 7')\nif rank == 1:\n    load()\n",
        "torchrun",
    )
    _, err = ended(process)
    assert process.returncode == 1
    said = err[err.index("failed  rank 1 on ") :]
    assert "ended with exit code 1: FileNotFoundError: shard 7" in said
    assert "| FileNotFoundError: shard 7" in said
    assert "Root Cause" not in said


@pytest.mark.parametrize("engine", ENGINES)
def test_interrupted(tmp_path, engine):
    """Ctrl-C ends engine and ranks in whatever sessions they are, well before the grace is over."""
    process = start(tmp_path, "open(f'up-{rank}', 'w').close()\ntime.sleep(300)\n", engine)
    until = time.monotonic() + 90
    while not ((tmp_path / "up-0").exists() and (tmp_path / "up-1").exists()):
        assert process.poll() is None, ended(process)
        assert time.monotonic() < until, ended(process)
        time.sleep(0.05)
    assert len(left(tmp_path)) >= 3
    process.send_signal(signal.SIGINT)
    _, err = ended(process)
    assert process.returncode == 130, err
    assert left(tmp_path) == []
    assert json.loads((tmp_path / "run" / "status.json").read_text())["state"] == "interrupted"
