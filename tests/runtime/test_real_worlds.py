"""Jobs that would train something else than planned, started for real: all end in seconds, in words."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

pytestmark = pytest.mark.real

SCRIPT = Path(__file__).parent / "scripts" / "meet.py"
SECONDS = 30  # from runtime.start to the end of the job; what an engine needs before (a compiler) is its own
LONGEST = 240


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.fixture
def job(plan_of, tmp_path, job_environ):
    """Starts a command with a plan and returns its code, its words and the ranks' own records."""

    def start(*command, plan=None, **environ):
        plan = plan or plan_of(ranks=2, launch={"timeouts": {"handshake": "3 s"}})
        (tmp_path / "plan.json").write_text(json.dumps(plan.to_dict()))
        env = {
            **job_environ,
            "LAUNCHER_PLAN": str(tmp_path / "plan.json"),
            "OMP_NUM_THREADS": "1",
            "CUDA_VISIBLE_DEVICES": "",
            **environ,
        }
        code, words = run([sys.executable, "-m", *map(str, command)], env)
        met = [float(moment) for moment in re.findall(r"meets at (\d+\.\d)", words)]
        assert time.time() - min(met) < SECONDS, words
        ranks = sorted((tmp_path / "ranks").glob("*.json"))
        assert "trains" not in words
        return code, words, [json.loads(path.read_text()) for path in ranks]

    return start


def run(argv, env):
    """Exit code and output of a command, which is ended with its whole process group when it takes too long."""
    process = subprocess.Popen(
        argv, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True
    )
    guard = threading.Timer(LONGEST, end_group, [process.pid])
    guard.start()
    words, _ = process.communicate()
    guard.cancel()
    end_group(process.pid)
    return process.returncode, words


def end_group(leader):
    with contextlib.suppress(ProcessLookupError):
        os.killpg(leader, signal.SIGKILL)


def torchrun(ranks):
    return (
        "torch.distributed.run", "--nnodes", 1, "--nproc_per_node", ranks,
        "--master_addr", "127.0.0.1", "--master_port", free_port(),
    )  # fmt: skip


def accelerate(*options):
    return ("accelerate.commands.launch", "--main_process_port", free_port(), *options)


def test_accelerate_that_trains_two_lone_copies(job):
    """`--multi_gpu` without a GPU starts two processes that do not know of each other, and would exit with 0."""
    code, words, ranks = job(*accelerate("--multi_gpu", "--num_processes", 2), SCRIPT, "accelerate", "lone")
    assert code != 0
    assert "planned num_processes 2, found Accelerator.num_processes 1 (distributed_type NO)" in words
    assert {rank["exit"] for rank in ranks} == {1}
    assert "found Accelerator.num_processes 1" in ranks[0]["error"]


def test_accelerate_without_a_rendezvous(job):
    """`--cpu --num_machines 2` starts one process per machine that never looks for the other."""
    options = ("--cpu", "--num_machines", 2, "--num_processes", 2, "--machine_rank", 0)
    code, words, _ = job(
        *accelerate(*options, "--main_process_ip", "127.0.0.1"), SCRIPT, "accelerate", "lone"
    )
    assert code != 0
    assert "planned 2 ranks, found 1 [world-differs]" in words


def test_accelerate_with_a_wrong_process_count(job):
    """Three real ranks where two are planned."""
    options = ("--multi_gpu", "--num_processes", 3)
    command = (*accelerate(*options), SCRIPT, "accelerate", "count")
    code, words, _ = job(*command, ACCELERATE_USE_CPU="true")
    assert code != 0
    assert words.count("planned 2 ranks, found 3 [world-differs]") == 1
    assert "planned num_processes 2, found Accelerator.num_processes 3 (distributed_type MULTI_CPU)" in words


def test_accelerate_with_deepspeed_on_cpu(job, plan_of, tmp_path):
    """Both ranks of this combination call themselves rank 0 of 1 and would train on the same samples."""
    config = {
        "train_batch_size": 12,
        "train_micro_batch_size_per_gpu": 6,
        "gradient_accumulation_steps": 1,
        "zero_allow_untested_optimizer": True,
        "zero_optimization": {"stage": 0},
    }
    (tmp_path / "deepspeed.json").write_text(json.dumps(config))
    options = (
        "--use_deepspeed",
        "--deepspeed_config_file",
        tmp_path / "deepspeed.json",
        "--num_processes",
        2,
    )
    plan = plan_of(ranks=2, micro_batch_size=6)
    command = (*accelerate(*options), SCRIPT, "accelerate", "deepspeed")
    code, words, _ = job(*command, plan=plan, DS_ACCELERATOR="cpu")
    assert code != 0
    assert "planned num_processes 2, found Accelerator.num_processes 1 (distributed_type DEEPSPEED)" in words


def test_a_rank_with_another_plan(job, plan_of, tmp_path):
    """A stale run folder on one rank ends both, and only rank 0 explains."""
    stale = plan_of(ranks=2, seed=1)
    (tmp_path / "stale").mkdir()
    (tmp_path / "stale" / "plan.json").write_text(json.dumps(stale.to_dict()))
    command = (*torchrun(2), SCRIPT, "ddp", "stale-plan")
    environ = {"STALE_PLAN": str(tmp_path / "stale" / "plan.json"), "BATCHWRIGHT_RUN": str(tmp_path)}
    code, words, ranks = job(*command, **environ)
    assert code == 1
    assert words.count(f"found plan {stale.plan_hash[:12]} on rank 1") == 1
    assert words.count("rank 1 ends: rank 0 says why [world-differs]") == 1
    assert [rank["exit"] for rank in ranks] == [1, 1]


def test_a_rank_that_never_comes(job):
    """A rank that hangs before runtime.start is named after launch.timeouts.handshake."""
    code, words, ranks = job(*torchrun(2), SCRIPT, "ddp", "absent")
    assert code == 1
    assert "planned 2 ranks, found 1: no word from rank 1 [world-differs]" in words
    assert [rank["rank"] for rank in ranks] == [0]
