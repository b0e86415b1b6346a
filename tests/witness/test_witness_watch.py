"""The witness as a whole without processes: what it does with its own bugs, and ranks that say nothing."""

import threading
from datetime import timedelta

import pytest
from plan_by_hand import plan_by_hand, write_plan

from batchwright_witness.borrowed import borrow
from batchwright_witness.exchange import Exchange
from batchwright_witness.journal import Journal
from batchwright_witness.watch import Watch


def watch_of(folder, **plan):
    """A watch of one process whose stops are collected."""
    stops = []
    borrowed, read = borrow(str(write_plan(plan_by_hand(ranks=1, **plan), folder)))
    watch = Watch(
        plan=read,
        borrowed=borrowed,
        exchange=Exchange(attempt="0", timeout_seconds=1),
        journal=Journal(folder / "log.jsonl"),
        stop=lambda code, difference, *, by_all: stops.append((code, difference.message, by_all)),
    )
    return watch, stops


class Optimizer:
    """Stands for an optimizer of the script: a thing that steps."""


def test_a_bug_of_the_witness_ends_only_the_watching(tmp_path):
    """Whatever a batch does when it is looked at, the training goes on, and the end says why nothing was seen."""

    class Trap(dict):
        def values(self):
            raise RuntimeError("not yours to look at")

    watch, stops = watch_of(tmp_path, peak=1e-3)
    watch.batch("loader0", Trap(x=1))
    owner = Optimizer()
    watch.starts(owner, lambda: 0)
    watch.stepped(owner, lambda: [5.0])
    assert stops == []
    assert watch.finish()["unseen"][0] == (
        "anything further: the witness itself failed (RuntimeError: not yours to look at)"
    )


@pytest.mark.parametrize(
    ("engine", "found", "words"),
    [
        ("deepspeed", 2, []),
        ("deepspeed", 1, ["planned ZeRO stage 2, found stage 1"]),
        (
            "accelerate",
            None,
            ["planned ZeRO stage 2, found an optimizer that steps outside of any DeepSpeed engine"],
        ),
        ("torchrun", None, []),
    ],
)
def test_zero_that_nobody_carries_out(engine, found, words, tmp_path):
    """Planned sharding that is not at work is named; it changes memory and no number, so nothing stops."""
    import dataclasses

    watch, stops = watch_of(tmp_path)
    layout = dataclasses.replace(watch.plan.layout, data_strategy="zero", zero_stage=2)
    watch.plan = dataclasses.replace(
        watch.plan, layout=layout, launch=dataclasses.replace(watch.plan.launch, engine=engine)
    )
    owner = Optimizer()
    watch.starts(owner, lambda: 0, zero_stage=found)
    assert watch.finish()["departures"] == words
    assert stops == []


def test_a_forked_child_is_not_the_rank(tmp_path):
    """Batches in a child that the script forked are not counted."""
    watch, _ = watch_of(tmp_path)
    watch.alive = False
    watch.batch("loader0", [])
    assert watch.counts.totals == {}


@pytest.mark.torch
def test_ranks_that_say_nothing():
    """The verdict reaches a rank that asks; one that is never asked for costs a time-out and hangs nobody."""
    from torch.distributed import DistStoreError, HashStore

    store, verdicts = HashStore(), []
    leading, following = (Exchange(attempt="0", timeout_seconds=5) for _ in range(2))
    asking = threading.Thread(target=lambda: verdicts.append(following._follow(store, "k", 1, {"n": 2})))
    asking.start()
    verdict = leading._lead(
        store, "k", 2, {"n": 1}, lambda reports: {"stop": None, "sum": sum(r["n"] for r in reports)}
    )
    asking.join()
    assert verdicts == [verdict] == [{"stop": None, "sum": 3}]
    leading._timeout = timedelta(seconds=0.1)
    with pytest.raises(DistStoreError):
        leading._lead(store, "l", 2, {"n": 1}, lambda _: {})
