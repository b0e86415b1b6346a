"""What two real ranks saw, once for all tests that ask."""

import json
import os
import sys
from pathlib import Path

import pytest
from rank_jobs import free_port, run_group

SCRIPT = Path(__file__).parent / "scripts" / "two_ranks.py"


@pytest.fixture(scope="session")
def two_ranks(tmp_path_factory):
    """Observations of scripts/two_ranks.py, started by `accelerate launch` on two processes of this machine."""
    pytest.importorskip("deepspeed")
    path = tmp_path_factory.mktemp("two_ranks") / "seen.json"
    command = [
        *(sys.executable, "-m", "accelerate.commands.accelerate_cli", "launch", "--multi_gpu"),
        *("--num_processes", "2", "--main_process_port", str(free_port()), str(SCRIPT), str(path)),
    ]
    # without ACCELERATE_USE_CPU the two processes would train alone, each as rank 0 of 1
    environ = {**os.environ, "ACCELERATE_USE_CPU": "true", "DS_ACCELERATOR": "cpu", "OMP_NUM_THREADS": "1"}
    code, text = run_group(command, environ=environ, seconds=180)
    assert code == 0, text
    return json.loads(path.read_text())


@pytest.fixture
def fresh_accelerate():
    """Leaves no trace of an Accelerator or a Trainer in this process: their state is shared by all of it."""
    yield
    from accelerate.state import AcceleratorState, GradientState

    AcceleratorState._reset_state(reset_partial_state=True)
    GradientState._reset_state()
