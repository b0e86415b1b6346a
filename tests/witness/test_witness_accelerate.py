"""Accelerate's silent failures, each of which exits 0 on its own, and its ways of handing out batches."""

import time

import pytest
from launching import SCRIPTS, recipe, start_engine

pytestmark = pytest.mark.real

SCRIPT = SCRIPTS / "accelerate_loaders.py"
WAYS = ("shard", "split", "dispatch", "dispatch and split", "uneven", "stream")
CONSTANT = {"optimizer": {"learning_rate": 0.125}, "schedule": {"length": "100 steps"}}


def test_every_way_of_handing_out_batches(tmp_path):
    """However the batches are cut over the ranks, they sum up to the planned number, epoch ends included."""
    ended = start_engine(recipe("accelerate", SCRIPT, (), **CONSTANT), tmp_path / "run")
    assert ended.code == 0, ended.output
    assert all(f"done {way}" in ended.output for way in WAYS)
    assert [each["samples_per_step"] for each in ended.witness["optimizers"]] == [8] * len(WAYS)
    assert ended.witness["unseen"] == ended.witness["departures"] == []


def _own_argv(*options: str):
    """Accelerate started with these options instead of the rendered ones, as somebody's wrapper would."""

    def change(argv: list[str]) -> list[str]:
        tail = argv[argv.index("batchwright_witness") :]
        common = ("--mixed_precision", "no", "--dynamo_backend", "no", "--main_process_port", "0")
        return ["accelerate", "launch", *options, *common, "-m", *tail]

    return change


FAULTS = {
    "no rendezvous": (
        (
            "--cpu",
            "--num_machines",
            "2",
            "--num_processes",
            "2",
            "--machine_rank",
            "0",
            "--main_process_ip",
            "127.0.0.1",
        ),
        {},
        "planned 2 ranks, found 1: this process was started without a rendezvous [world-differs]",
    ),
    "lone ranks": (
        ("--multi_gpu", "--num_machines", "1", "--num_processes", "2"),
        {"ACCELERATE_USE_CPU": "false"},
        "planned 2 ranks, found 1: Accelerate counts 1 in this process [world-differs]",
    ),
    "process count": (
        ("--multi_gpu", "--num_machines", "1", "--num_processes", "3"),
        {},
        "planned 2 ranks, found 3 [world-differs]",
    ),
    "CPU and DeepSpeed": (
        ("--use_deepspeed", "--zero_stage", "0", "--num_machines", "1", "--num_processes", "2"),
        {"ACCELERATE_USE_CPU": "false", "DS_ACCELERATOR": "cpu"},
        "planned 2 ranks, found 1: Accelerate counts 1 in this process [world-differs]",
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_silent_failures(fault, tmp_path):
    """Each stops within 30 seconds with a message that names planned and found."""
    options, env, message = FAULTS[fault]
    started = time.monotonic()
    ended = start_engine(
        recipe("accelerate", SCRIPT, (), **CONSTANT), tmp_path / "run", change=_own_argv(*options), env=env
    )
    assert time.monotonic() - started < 30
    assert ended.code != 0
    assert message in ended.output
    assert "done" not in ended.output
