"""What is made of the ranks' own measurements, and of a job that printed none."""

import json

import pytest

from launcher.api import load_recipe, plan
from launcher.handoff.doctor.collective import collective_recipe, read_collective
from launcher.handoff.doctor.collective_script import BEGIN, END, WAITED

MIB = 2**20


def printed(ranks):
    return f"node-a: noise\nnode-a: {BEGIN}{json.dumps({'ranks': ranks, 'bytes': 4 * MIB})}{END}\n"


def rank(number, host, *, seconds=0.01, within=None, correct=True, **between):
    names = {name.replace("_", "-"): value for name, value in between.items()}
    return {
        "rank": number,
        "host": host,
        "correct": correct,
        "seconds": seconds,
        "within": within,
        "between": names,
    }


def test_one_host(cluster_plan):
    """The rate is the bus bandwidth, 2(n-1)/n of the tensor in the slowest rank's time."""
    log = printed([rank(0, "node-a", seconds=0.01), rank(1, "node-a", seconds=0.02)])
    found, problems = read_collective(log, plan=cluster_plan, seconds=5.0)
    assert problems == ()
    assert found.hosts[0].within == 4 * MIB * 2 * (1 / 2) / 0.02
    assert found.hosts[0].between is None
    assert found.slowest is None


def test_the_slowest_of_three(cluster_plan):
    """A host is slow when the links to both of its neighbours are: a link alone says nothing of its ends."""
    ranks = [
        rank(0, "node-a", node_b=0.1, node_c=0.01),
        rank(1, "node-b", node_a=0.1, node_c=0.1),
        rank(2, "node-c", node_b=0.1, node_a=0.01),
    ]
    found, _ = read_collective(printed(ranks), plan=cluster_plan, seconds=5.0)
    assert found.slowest == "node-b"
    assert [round(each.between / MIB) for each in found.hosts] == [400, 40, 400]


def test_slow_within(cluster_plan):
    """Of two hosts the one whose own ranks are slower with each other."""
    ranks = [
        *(rank(number, "node-a", within=0.01, node_b=0.02) for number in (0, 1)),
        *(rank(number, "node-b", within=0.05, node_a=0.02) for number in (2, 3)),
    ]
    assert read_collective(printed(ranks), plan=cluster_plan, seconds=5.0)[0].slowest == "node-b"


def test_a_wrong_sum(cluster_plan):
    """Ranks whose sum is wrong are named; what was measured is kept."""
    ranks = [rank(0, "node-a"), rank(1, "node-b", correct=False)]
    found, problems = read_collective(printed(ranks), plan=cluster_plan, seconds=5.0)
    assert found is not None
    assert problems[0].code == "collective-failed"
    assert problems[0].because == ("ranks 1 on node-b",)


def test_ranks_that_waited(cluster_plan, same_message):
    """A hang is told by the ranks themselves, with the way round it."""
    words = "rank {} on node-{} waited 10 s in the all-reduce"
    log = "".join(f"node-x: {WAITED}{words.format(at, 'ab'[at])}\n" for at in (0, 1))
    found, problems = read_collective(log, plan=cluster_plan, seconds=15.0)
    assert found is None
    same_message(problems[0])


def test_a_job_that_failed(cluster_plan):
    """The last lines of its log say why."""
    _, problems = read_collective("a\nRuntimeError: no cards\n", plan=cluster_plan, seconds=5.0)
    assert problems[0].because[-1] == "RuntimeError: no cards"


@pytest.mark.parametrize("everywhere", [True, False])
def test_the_small_job_is_the_recipes_own(tmp_path, everywhere):
    """Engine, network and machines are kept, what belongs to the training is not; one host has its own hostfile."""
    (tmp_path / "hosts").write_text("node-a slots=2\nnode-b slots=2\n")
    (tmp_path / "job.yaml").write_text(
        "global_batch_size: 8\nsequence_length: 16\nhidden_size: 64\nmicro_batch_size: 2\n"
        "gradient_accumulation_steps: 1\n"
        "cluster: {nodes: 2, devices_per_node: 2, device: cpu, hostfile: hosts}\n"
        "launch: {engine: accelerate, executor: ssh, script: train.py, args: [x], network: {interface: eth9}}\n"
    )
    recipe = load_recipe(tmp_path / "job.yaml")
    small = collective_recipe(
        recipe, plan(recipe), python="/opt/python", everywhere=everywhere, hostfile=tmp_path / "one"
    )
    result = plan(small)
    assert result.launch.engine == "accelerate"
    assert result.launch.interface == "eth9"
    assert result.launch.hosts == (("node-a", "node-b") if everywhere else ("node-a",))
    assert result.layout.world_size == (4 if everywhere else 2)
    assert result.launch.module == "launcher.handoff.doctor.collective_script"
    assert "x" not in result.launch.args
