"""Reports over a store: everybody hears everybody, and who is silent is named."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from itertools import count

import pytest

from launcher.errors import Problem
from launcher.runtime import handshake
from launcher.runtime.handshake import Meeting, agreement

pytestmark = pytest.mark.torch


@pytest.fixture
def meetings(monkeypatch):
    """Meetings of several ranks that live in one process: each rank counts for itself, as processes do."""
    import torch

    store = torch.distributed.HashStore()

    def of(rank, world_size):
        monkeypatch.setattr(handshake, "_meetings", count())
        return Meeting(store, rank=rank, world_size=world_size)

    return of


def test_all_ranks_hear_all_ranks(meetings):
    """Every rank gets every message in the order of ranks."""
    ranks = [meetings(rank, 3) for rank in range(3)]
    with ThreadPoolExecutor(3) as pool:
        said = list(pool.map(lambda m: m.exchange({"rank": m.rank}, seconds=30), ranks))
    assert said == [([{"rank": 0}, {"rank": 1}, {"rank": 2}], ())] * 3


def test_silence_is_named(meetings):
    """After the time is up the silent ranks are known, and what the others said."""
    meetings(2, 4).exchange("two", seconds=0.01)
    said, absent = meetings(0, 4).exchange("zero", seconds=0.05)
    assert (said, absent) == (["zero", "two"], (1, 3))


def test_the_first_rank_speaks_before_any_leaves(meetings, capsys):
    """Rank 0 says it all, the others one line each, and nobody waits for long."""
    problem = Problem(code="world-differs", message="planned 2 ranks, found 3")
    ranks = [meetings(rank, 2) for rank in range(2)]
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda m: m.part([problem], ranks=[0, 1]), ranks))
    assert capsys.readouterr().err.splitlines() == [
        "planned 2 ranks, found 3 [world-differs]",
        "rank 1 ends: rank 0 says why [world-differs]",
    ]


def test_the_line_of_agreement(plan_of):
    """What was proven, in one line."""
    from launcher.runtime.comparing import Report

    plan = plan_of(ranks=2)
    reports = [
        Report(
            rank=rank, node=f"host-{rank}", local_rank=0, world_size=2, plan_hash=plan.plan_hash, device="cpu",
            versions={"python": "3.11", "torch": "2.13.0", "deepspeed": "0.19.8"},
        )
        for rank in range(2)
    ]  # fmt: skip
    line = agreement(plan, reports, seconds=1.94)
    assert line == (
        f"world   2 of 2 ranks agree: 2 hosts, torch 2.13.0, deepspeed 0.19.8, plan {plan.plan_hash[:6]}  1.9 s"
    )
