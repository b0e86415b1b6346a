"""What is made of the records of two starts, and of a checkpoint directory."""

from __future__ import annotations

import os

import pytest

from launcher.handoff.trials.rehearsal import (
    bytes_below,
    is_comparable,
    latest_checkpoint,
    node_bytes,
    reload_fault,
    same_step_fault,
)
from launcher.handoff.trials.trial import TrialEnd


def step(number, **changes):
    """One optimizer step as the witness records it."""
    seen = {
        "optimizer": 0,
        "step": number,
        "loss": 2.0,
        "gradient_norm": None,
        "gradient_squares": 9.0,
        "parameters": 1.5,
        "state": 4.0,
        "rates": [0.1],
    }
    return {**seen, **changes}


def end(*steps, ranks=1, hosts=("here",), host_bytes=10):
    """How a start ended whose ranks all saw these steps."""
    records = {
        rank: {"host": hosts[rank % len(hosts)], "host_bytes": host_bytes, "inspected": {"steps": [*steps]}}
        for rank in range(ranks)
    }
    return TrialEnd(
        exit=0,
        interrupted_by=None,
        out_of_memory=None,
        records=records,
        seconds=1.0,
        message="",
        context=(),
    )


FIRST = end(step(0, parameters=0.0), step(1, parameters=1.0), step(2))


def test_a_restart_that_brings_everything_back():
    """The first step of the second start is compared with the third of the first."""
    assert is_comparable(FIRST, end(step(0)), at=2)
    assert reload_fault(FIRST, end(step(0)), at=2) is None
    assert same_step_fault(FIRST, end(step(0, loss=2.0000001)), at=2, tolerance=1e-6) is None


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (
            {"parameters": 1.5000000000000002},
            "rank 0: the parameters before step 3 are not those that were saved",
        ),
        (
            {"state": 0.0},
            "rank 0: the optimizer starts anew before step 3: its state is not restored",
        ),
        ({"state": 4.1}, "rank 0: the optimizer's state before step 3 is not the one that was saved"),
        (
            {"rates": [0.2, 0.2]},
            "learning rate 0.2 at step 3, 0.1 without the restart: the schedule is not restored",
        ),
    ],
)
def test_what_a_restart_does_not_bring_back(changes, words):
    """To the last bit: nothing is tolerated of what was saved."""
    assert reload_fault(FIRST, end(step(0, **changes)), at=2) == words


def test_other_samples_after_a_restart():
    """Loss first, then the gradient, with ten times the tolerance."""
    found = same_step_fault(FIRST, end(step(0, loss=2.1)), at=2, tolerance=1e-6)
    assert found == "rank 0: loss 2.1 at step 3, 2 without the restart; at most 1e-06 apart is meant"
    found = same_step_fault(FIRST, end(step(0, gradient_squares=16.0)), at=2, tolerance=1e-2)
    assert found == "rank 0: gradient norm 4 at step 3, 3 without the restart; at most 0.1 apart is meant"


def test_starts_that_nobody_has_seen():
    """Without a record there is nothing to compare, which is not the same as agreement."""
    assert not is_comparable(FIRST, end(), at=2)
    assert not is_comparable(end(step(0)), end(step(0)), at=2)


def test_memory_of_a_node_is_the_sum_of_its_processes():
    """The node that took most counts, in the start that took most."""
    both = end(ranks=4, hosts=("a", "b"), host_bytes=7)
    assert node_bytes([both, end(ranks=3, hosts=("a",), host_bytes=5)]) == 15
    assert node_bytes([both]) == 14
    assert node_bytes([]) is None


def test_the_latest_checkpoint(tmp_path):
    """The entry written last; DeepSpeed's pointer wins, what is unfinished does not count."""
    assert latest_checkpoint(tmp_path / "nowhere") is None
    assert latest_checkpoint(tmp_path) is None
    for age, name in enumerate(["checkpoint-2", "checkpoint-10", "later.tmp", ".hidden"]):
        (tmp_path / name).mkdir()
        os.utime(tmp_path / name, (100 + age, 100 + age))
    assert latest_checkpoint(tmp_path).name == "checkpoint-10"
    (tmp_path / "latest").write_text("checkpoint-2\n")
    assert latest_checkpoint(tmp_path).name == "checkpoint-2"
    (tmp_path / "latest").write_text("gone\n")
    assert latest_checkpoint(tmp_path).name == "checkpoint-10"


def test_the_size_of_a_checkpoint(tmp_path):
    """All files of a folder, in bytes."""
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "b").write_bytes(b"123")
    (tmp_path / "c").write_bytes(b"45")
    assert bytes_below(tmp_path) == 5
