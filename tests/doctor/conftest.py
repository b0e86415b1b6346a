"""Answers of hosts that are as they should be, to be changed one by one."""

from __future__ import annotations

import copy
from pathlib import Path

import pytest

from launcher.handoff.doctor.answers import Answer
from launcher.handoff.doctor.comparing import compare
from launcher.handoff.doctor.requests import Inquiry
from launcher.testing.plans import changed, sample_plans

MESSAGES = Path(__file__).parent / "messages"
GIB = 2**30
GOOD = {
    "interpreter": "/opt/train/bin/python",
    "versions": {
        "python": "3.11.7",
        "torch": "2.13.0",
        "deepspeed": "0.19.8",
        "accelerate": "1.15.0",
        "transformers": "5.1.0",
        "batchwright": "0.1.0",
        "nccl": "2.27.3",
        "driver": "550.54",
    },
    "devices": {"kind": "cuda", "count": 2, "names": ["NVIDIA H100 80GB HBM3"] * 2, "visible": None},
    "device_memory": [{"total_bytes": 80 * GIB, "used_bytes": 4 << 20, "processes": []}] * 2,
    "limits": {"nofile": 65536, "memlock": None, "nproc": None, "infiniband": False},
    "shm_bytes": 32 * GIB,
    "compiler": {"name": "c++", "found": "/usr/bin/c++", "headers": True, "built": False},
    "paths": {
        "workdir": {"path": "/shared/job", "folder": True},
        "script": {"path": "/shared/job/train.py", "folder": False, "bytes": 10, "checksum": 7},
    },
    "run_parent": {"path": "/shared/job/runs", "shared": True, "free_bytes": 900 * GIB, "free_files": 10**6},
    "failed": {},
}


def good(number: int, *, name: str | None = None) -> Answer:
    """The answer of node-a, node-b ... when all is well; sent at second 100, received at 101."""
    address = f"10.0.0.{number + 1}"
    host = name or f"node-{chr(97 + number)}"
    network = {
        "own_name": address,
        "default": {"gloo": "eth0", "nccl": "eth0"},
        "interfaces": [["lo", "127.0.0.1"], ["eth0", address]],
        "main": "10.0.0.1",
        "source": address,
        "interface": "eth0",
        "why": None,
    }
    main = {"connects": True, "from": address}
    if number == 0:
        main = {"listens": True, "came": [1], "reached_at": ["10.0.0.1"], "reached_by": ["eth0"]}
    facts = {**copy.deepcopy(GOOD), "node": number, "host": host, "network": network, "main": main}
    return Answer(host=host, facts={**facts, "began": 100.4, "ended": 100.9}, sent=100.0, received=101.0)


def with_facts(answer: Answer, **changes) -> Answer:
    """The same with some facts changed; a mapping changes the keys it names, None takes the fact away."""
    facts = dict(answer.facts)
    for name, change in changes.items():
        if change is None:
            del facts[name]
        else:
            facts[name] = {**facts[name], **change} if isinstance(change, dict) else change
    return Answer(host=answer.host, facts=facts, sent=answer.sent, received=answer.received)


@pytest.fixture
def cluster_plan():
    """Two nodes with two H100 each."""
    return changed(
        next(iter(sample_plans().values())),
        layout={
            "num_nodes": 2,
            "devices_per_node": 2,
            "world_size": 4,
            "device": "h100-sxm-80gb",
            "device_kind": "cuda",
            "backend": "nccl",
            "devices": None,
        },
        launch={"executor": "ssh", "hosts": ("node-a", "node-b"), "script": "train.py", "engine": "torchrun"},
    )


@pytest.fixture
def examined(cluster_plan):
    """Compares answers with a plan as `doctor` does."""

    def compared(answers, *, plan=cluster_plan, cheap=False, port_written=False):
        asked = Inquiry(request={}, main_address="node-a", port=23456, port_written=port_written, cheap=cheap)
        return compare(plan=plan, answers=answers, asked=asked, reached_by="ssh", seconds=25.0)

    return compared


@pytest.fixture
def same_message():
    """One whole problem against its file in messages/."""

    def same(problem) -> None:
        assert f"{problem}\n" == (MESSAGES / f"{problem.code}.txt").read_text()

    return same
