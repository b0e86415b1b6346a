"""Two node programs on this machine start a real torchrun each, and the ranks find each other."""

import sys
import time
from pathlib import Path

import pytest

SCRIPT = """\
import os
import torch
import torch.distributed as dist
dist.init_process_group("gloo")
total = torch.tensor([dist.get_rank() + 1.0])
dist.all_reduce(total)
print("rank", dist.get_rank(), "of", dist.get_world_size(), "sum", total.item(), flush=True)
if os.environ["FAIL"] == "kill" and dist.get_rank() == 1:
    os.kill(os.getpid(), 9)
if os.environ["FAIL"]:
    dist.all_reduce(total)
os._exit(0)  # threads of gloo may abort an interpreter that shuts down
"""


def start(nodes, *, fail=""):
    (nodes.work / "train.py").write_text(SCRIPT)
    torchrun = str(Path(sys.executable).with_name("torchrun"))
    meeting = [
        "--nnodes",
        "2",
        "--nproc_per_node",
        "1",
        "--master_addr",
        "127.0.0.1",
        "--master_port",
        str(nodes.port),
    ]
    nodes.write(
        *([torchrun, *meeting, "--node_rank", str(node), "train.py"] for node in range(2)),
        env={"OMP_NUM_THREADS": "1", "FAIL": fail},
    )
    nodes.start_all()


@pytest.mark.real
def test_ranks_meet_on_the_port_of_the_nodes(nodes):
    """The store of torchrun listens on the port that the node programs have met on, while they stay connected."""
    start(nodes)
    assert nodes.wait(90) == {"0": 0, "1": 0}
    assert nodes.printed(0) == "rank 0 of 2 sum 3.0\n"
    assert nodes.printed(1) == "rank 1 of 2 sum 3.0\n"


@pytest.mark.real
def test_a_rank_that_the_system_kills(nodes):
    """A rank that is killed is named with its signal, though the other one failed in words, and nothing hangs."""
    start(nodes, fail="kill")
    began = time.monotonic()
    assert nodes.wait(90) == {"0": 137, "1": 137}
    assert time.monotonic() - began < 60
    assert (
        nodes.said(0).splitlines()[-1]
        == "rank 1 on HOST (node 1) ended with exit code 137: ended by signal 9"
    )
    assert nodes.left() == []
