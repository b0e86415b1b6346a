"""Every difference between plan and ranks, in words that name both."""

from __future__ import annotations

from dataclasses import replace

import pytest

from launcher.runtime.comparing import Report, compare


def report(plan, rank, **changes):
    base = Report(
        rank=rank,
        node=f"host-{rank // plan.layout.devices_per_node}",
        local_rank=rank % plan.layout.devices_per_node,
        world_size=plan.layout.world_size,
        plan_hash=plan.plan_hash,
        device="cpu",
        versions={"python": "3.11", "torch": "2.13.0"},
    )
    return replace(base, **changes)


def reports(plan, **changes):
    return [report(plan, rank, **changes) for rank in range(plan.layout.world_size)]


@pytest.fixture
def four(plan_of):
    """A plan of two nodes with two ranks each."""
    return plan_of(ranks=2, cluster={"nodes": 2})


def test_agreement_says_nothing(four):
    """Four ranks as planned differ in nothing."""
    assert compare(four, reports(four)) == ()


def test_lone_copies(plan_of, message):
    """Accelerate's N separate trainings: each sees one rank, and says what it was told."""
    plan = plan_of(ranks=2)
    differences = (
        "planned num_processes 2, found Accelerator.num_processes 1 (distributed_type NO)",
        "planned WORLD_SIZE=2 for this process, found 1: Accelerator trains without the others",
    )
    found = compare(plan, [report(plan, 1, world_size=1, differences=differences)])
    message("world-differs", "\n".join(map(str, found)))


def test_a_rank_that_never_came(four):
    """Absent ranks are named, with how long they were waited for."""
    (problem,) = compare(four, reports(four)[:3], absent=(3,), timeout_seconds=60)
    assert problem.message == "planned 4 ranks, found 3: no word from rank 3"
    assert problem.because == ("waited 60 s (launch.timeouts.handshake)",)


def test_another_number_of_ranks(four):
    """More ranks than planned are as wrong as fewer."""
    (problem,) = compare(four, [report(four, rank, world_size=6) for rank in range(6)])
    assert problem.message == "planned 4 ranks, found 6"
    assert problem.because[5 - 2] == "rank 3 on host-1 sees 6"


def test_ranks_in_other_places(four):
    """The right number of ranks on the wrong nodes."""
    placed = [report(four, rank, node="host-0" if rank < 3 else "host-1") for rank in range(4)]
    (problem,) = compare(four, placed)
    assert problem.message == "planned 2 nodes with 2 ranks each, found 2 nodes"
    assert problem.because == ("host-0: 3 ranks", "host-1: 1 rank")


def test_another_kind_of_device(four):
    """A model that was left on the CPU, or moved off it."""
    found = reports(four)
    found[2] = replace(found[2], device="cuda:0")
    (problem,) = compare(four, found)
    assert problem.message == "planned device cpu, found cuda:0"
    assert problem.because == ("rank 2 on host-1: cuda:0",)


def test_two_ranks_on_one_device(plan_of):
    """Each rank sees one device and calls it number 0: its identity tells."""
    plan = plan_of(ranks=2, cluster={"device": "h100-sxm-80gb"})
    same = [report(plan, rank, device="cuda:0", device_id="GPU-1") for rank in (0, 1)]
    (problem,) = compare(plan, same)
    assert problem.message == "planned one device per rank, found ranks 0 and 1 on cuda:0"
    assert problem.because == ("host-0, device GPU-1",)
    assert compare(plan, [same[0], replace(same[1], device_id="GPU-2")]) == ()
    assert compare(plan, [same[0], replace(same[1], node="host-1")])[0].message.startswith("planned 1 node")


def test_another_plan_on_a_node(four):
    """A node with a stale run folder is named with both hashes."""
    found = reports(four)
    found[3] = replace(found[3], plan_hash="f" * 64)
    (problem,) = compare(four, found)
    assert problem.message == f"planned {four.plan_hash[:12]} on rank 0, found plan ffffffffffff on rank 3"
    assert problem.because == ("rank 3 runs on host-1",)


def test_other_versions_on_a_node(four):
    """Versions that differ are one difference each, also where a library is missing."""
    found = reports(four)
    found[1] = replace(found[1], versions={"python": "3.11", "torch": "2.11.0"})
    found[2] = replace(found[2], versions={"python": "3.11"})
    first, second = compare(four, found)
    assert (
        first.message
        == "one version of torch on all ranks is planned, found 2.13.0 on rank 0 and 2.11.0 on rank 1"
    )
    assert second.message.endswith("found 2.13.0 on rank 0 and none on rank 2")


def test_what_an_engine_has_otherwise(four):
    """The same words of several ranks are said once, with who said them."""
    words = "planned zero_stage 2, found 1 in DeepSpeed's engine"
    (every,) = compare(four, reports(four, differences=(words,)))
    assert (every.message, every.because) == (words, ("on every rank",))
    found = reports(four)
    found[1] = replace(found[1], differences=(words,))
    (one,) = compare(four, found)
    assert one.because == ("on rank 1",)
