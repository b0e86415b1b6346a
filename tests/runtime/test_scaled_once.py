"""A learning rate is scaled once: whatever the script, a restored optimizer or Accelerate's habit would add."""

from __future__ import annotations

import copy
import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from launcher import runtime
from launcher.errors import WorldError

SCRIPT = Path(__file__).parent / "scripts" / "scaled_by_the_script.py"
TUNED = {"name": "sgd", "learning_rate": None, "reference_learning_rate": 0.1, "reference_batch_size": 6}
"""Peak 0.2 at 12 sequences; the warmup over two steps starts at the reference rate."""
FIRST = 0.1 + (0.2 - 0.1) * 0.5


@pytest.fixture
def begin(plan_of, environ_of):
    """A run on one rank, its model and its optimizer, built with a rate."""

    def start(*, rate, **changes):
        import torch

        torch.manual_seed(0)
        model = torch.nn.Linear(1, 1)
        optimizer = torch.optim.SGD(model.parameters(), lr=rate, momentum=0.5)
        plan = plan_of(loss={"weighting": "samples"}, **{"optimizer": TUNED, **changes})
        return runtime.start(model, environ=environ_of(plan)), model, optimizer

    return start


def train(run, model, optimizer, *, steps, start=None):
    """Rates that the optimizer held after each step."""
    import torch

    data, rates = torch.arange(30.0).view(30, 1) / 30, []
    for step in run.steps(data, start=start):
        for micro in step:
            run.backward((model(micro.batch) - 1).square().squeeze(1), micro)
        run.apply(optimizer)
        rates.append(optimizer.param_groups[0]["lr"])
        if step.number == steps:
            return rates
    return rates


@pytest.mark.torch
def test_the_script_scales_what_the_plan_has_scaled(begin):
    """0.1 x 2 by the plan, x 2 by the script: refused before any weight has moved."""
    run, model, optimizer = begin(rate=0.4)
    before = copy.deepcopy(model.state_dict())
    with pytest.raises(WorldError, match="learning-rate-scaled-twice"):
        train(run, model, optimizer, steps=1)
    assert all((before[name] == value).all() for name, value in model.state_dict().items())
    assert run.samples == 0


@pytest.mark.torch
@pytest.mark.parametrize("rate", [0.2, 0.1, 0.007])
def test_one_rate_follows_the_plan(begin, rate):
    """The peak, the reference, or anything: the plan's curve is what is trained."""
    run, model, optimizer = begin(rate=rate)
    assert train(run, model, optimizer, steps=3) == [FIRST, 0.2, 0.2]


@pytest.mark.torch
@pytest.mark.parametrize("optimizer_first", [True, False])
def test_a_restored_optimizer_is_not_scaled_again(begin, optimizer_first):
    """Its state holds the rate of its last step, below the peak: the next step trains at the plan's all the same."""
    run, model, optimizer = begin(rate=0.2)
    assert train(run, model, optimizer, steps=1) == [FIRST]
    kept = (run.state_dict(), copy.deepcopy(optimizer.state_dict()))
    run, model, optimizer = begin(rate=0.2)
    loads = [lambda: optimizer.load_state_dict(kept[1]), lambda: run.load_state_dict(kept[0])]
    for load in loads if optimizer_first else reversed(loads):
        load()
    assert optimizer.param_groups[0]["lr"] == FIRST
    assert train(run, model, optimizer, steps=3) == [0.2, 0.2]


@pytest.mark.torch
def test_a_run_that_starts_inside_is_not_suspected(begin):
    """Without the run's own state, `start` says that the optimizer's rate may be that of any step."""
    run, model, optimizer = begin(rate=0.4)
    assert train(run, model, optimizer, steps=3, start=12) == [0.2, 0.2]


@pytest.mark.torch
def test_a_restored_run_refuses_a_plan_that_scales_again(begin):
    """The peak of the first run taken as the reference of the second: refused in words, not trained at 0.4."""
    run, model, optimizer = begin(rate=0.2)
    train(run, model, optimizer, steps=1)
    kept = run.state_dict()
    run, model, optimizer = begin(rate=0.2, optimizer={**TUNED, "reference_learning_rate": 0.2})
    with pytest.raises(WorldError, match="would scale it twice"):
        run.load_state_dict(kept)


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.mark.real
@pytest.mark.parametrize("wrapping", ["ddp", "accelerate"])
def test_two_processes_times_the_rate(plan_of, tmp_path, job_environ, wrapping):
    """Times world_size, and times accelerator.num_processes: both ranks refuse before the first step, and say whose it is."""
    plan = plan_of(ranks=2, loss={"weighting": "samples"})
    (tmp_path / "plan.json").write_text(json.dumps(plan.to_dict()))
    env = {
        **job_environ,
        "LAUNCHER_PLAN": str(tmp_path / "plan.json"),
        "OMP_NUM_THREADS": "1",
        "CUDA_VISIBLE_DEVICES": "",
        "ACCELERATE_USE_CPU": "true",
    }
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", "--master-port"]
    process = subprocess.Popen(
        [*command, str(free_port()), str(SCRIPT), wrapping],
        env=env,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    try:
        words, _ = process.communicate(timeout=120)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
    assert process.returncode != 0
    assert "[learning-rate-scaled-twice]" in words
    assert "0.2, 2x: the script multiplies by the number of processes" in words
    assert "trained" not in words
