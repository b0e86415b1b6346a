"""The guard over a job, with a clock of its own."""

import json
import os
from dataclasses import asdict

import pytest
from test_lateness import beat

from launcher.handoff.guard.guarding import Guard, LocalGuard
from launcher.handoff.guard.local_ranks import LocalRanks
from launcher.testing.plans import changed, sample_plans

PLAN = changed(sample_plans()["cpu-1x2"], launch={"stall_seconds": 10.0, "workdir": "/work"})


class Clock:
    def __init__(self):
        self.now = 1000.0

    def __call__(self):
        return self.now


@pytest.fixture
def watched():
    """A guard, its clock, and what it has said."""
    clock, said = Clock(), []
    return Guard(PLAN, say=said.append, folder="RUN", clock=clock), clock, said


def answer(rank, **changes):
    return {"rank": rank, "answered": True, "state": "", "lines": ["train.py:31 in load"], **changes}


def look(guard, clock, beats, seconds=1.0):
    clock.now += seconds
    guard.see([asdict(each) for each in beats])
    return guard.decide()


def test_a_job_that_stands_still(watched):
    """After timeouts.stall the ranks are asked; when all have answered the job ends with words and the late rank."""
    guard, clock, said = watched
    beats = [beat(0), beat(1, phase="data")]
    for _ in range(10):
        assert look(guard, clock, beats) is None
    assert not guard.asks
    look(guard, clock, beats)
    assert guard.asks
    guard.hear([answer(0, lines=["train.py:40 in main"]), answer(1)])
    assert look(guard, clock, beats) == guard.reason
    assert guard.reason == (
        "no step for 10 s: rank 1 on node-b is late (step 58, data, train.py:31 in load); stacks in RUN/stacks/"
    )
    assert (guard.late.rank, guard.late.host, guard.context) == (1, "node-b", ("train.py:31 in load",))
    assert not guard.asks
    assert said == []


def test_a_rank_that_does_not_answer(watched):
    """It is waited for two seconds, and the state of its process is told."""
    guard, clock, _ = watched
    beats = [beat(0, phase="data"), beat(1)]
    look(guard, clock, beats)
    look(guard, clock, beats, seconds=10)
    guard.hear([answer(0), answer(1, answered=False, state="stopped (T)", lines=[])])
    assert look(guard, clock, beats) is None
    assert "rank 1 on node-b is late (step 58, backward, stopped (T))" in look(guard, clock, beats)


@pytest.mark.parametrize("change", [{"steps": 58}, {"micro": 2}, {"batches": 16}, {"aside": 1}])
def test_progress_of_any_rank_counts(watched, change):
    """Even while the ranks are being asked."""
    guard, clock, _ = watched
    beats = [beat(0), beat(1)]
    look(guard, clock, beats)
    look(guard, clock, beats, seconds=10)
    assert guard.asks
    assert look(guard, clock, [beat(0, **change), beat(1)]) is None
    assert not guard.asks
    look(guard, clock, [beat(0, **change), beat(1)], seconds=9)
    assert not guard.asks


def test_before_the_first_step_and_where_nothing_is_seen(watched):
    """Half an hour at the start; a script whose steps cannot be seen is not judged at all."""
    guard, clock, _ = watched
    starting = [beat(rank, tried=0, steps=0, phase="start", seen=rank == 0) for rank in range(2)]
    look(guard, clock, starting)
    look(guard, clock, starting, seconds=1799)
    assert not guard.asks
    look(guard, clock, starting)
    assert guard.asks
    blind = Guard(PLAN, say=print, folder="RUN", clock=clock)
    for _ in range(5):
        look(blind, clock, [beat(0, tried=0, seen=False, phase="start")], seconds=1800)
    assert not blind.asks


def test_a_slow_rank_is_a_line(watched):
    """And no end."""
    guard, clock, said = watched
    for step in range(40):
        seconds, busy = (1.0, 0.5) if step < 30 else (2.0, 1.5)
        look(
            guard,
            clock,
            [beat(0, steps=step, seconds=seconds, busy=0.5), beat(1, steps=step, seconds=seconds, busy=busy)],
        )
    assert len(said) == 1
    assert said[0].startswith("slow    step 32 took 2 s, 2.0 x the usual 1 s")
    assert "rank 1 on node-b" in said[0]
    assert guard.reason is None


def test_beats_of_this_machine(tmp_path):
    """Whole lines of the ranks asked for; a process that is not that rank of this run gets no signal."""
    (tmp_path / "beats").mkdir()
    for rank in range(3):
        text = json.dumps(asdict(beat(rank, pid=os.getpid())))
        (tmp_path / "beats" / str(rank)).write_text(text)
    (tmp_path / "beats" / "1").write_text('{"rank": 1, "ho')
    (tmp_path / "beats" / ".hidden").write_text("{}")
    ranks = LocalRanks(tmp_path, workdir="/work", ranks=range(2))
    assert [each["rank"] for each in ranks.beats()] == [0]
    ranks.ask()  # would end this process
    ranks.wake()
    assert ranks.answers() == [{"rank": 0, "answered": False, "state": "", "lines": []}]
    assert LocalRanks(tmp_path / "missing", workdir="/").beats() == []


def test_an_attendant_that_looks_once_a_second(tmp_path):
    """Called as often as may be, it reads the beats once a second."""
    clock = Clock()

    class Ranks(LocalRanks):
        looks = 0

        def beats(self):
            self.looks += 1
            return []

    ranks = Ranks(tmp_path, workdir="/")
    local = LocalGuard(Guard(PLAN, say=print, folder="RUN", clock=clock), ranks, clock=clock)
    for _ in range(100):
        clock.now += 0.05
        assert local.attend(ending=False) is False
    assert ranks.looks in {4, 5}
    assert local.files() == ()
