"""Steps that have become slow, and whose fault it is."""

from dataclasses import replace

import pytest
from test_lateness import beat

from launcher.handoff.guard.slowness import FACTOR, IN_A_ROW, Slowness


class Job:
    """Steps seen one after another."""

    def __init__(self, **planned):
        self.slowness, self.step = Slowness(**planned), 0

    def see(self, seconds, busy=(1.0, 1.0)):
        self.step += 1
        beats = [beat(rank, steps=self.step, seconds=seconds, busy=each) for rank, each in enumerate(busy)]
        return self.slowness.see(beats)

    def see_many(self, count, seconds, **more):
        return [words for words in (self.see(seconds, **more) for _ in range(count)) if words]


def test_the_slow_rank_is_named_once():
    """After a few slow looks in a row, and again only when it had been well meanwhile."""
    job = Job()
    assert job.see_many(20, 2.0) == []
    said = job.see_many(50, 4.0, busy=(1.0, 3.1, 1.2))
    assert said == [
        (
            "step 23 took 4 s, 2.0 x the usual 2 s (median of 20 looks; no time is planned): "
            "rank 1 on node-b works 3.1 s before it shares gradients, the others 1.1 s"
        )
    ]
    assert job.see_many(5, 2.0) == []
    assert len(job.see_many(5, 4.0)) == 1


def test_a_hiccup_is_no_episode():
    """Fewer slow looks in a row than it takes, however often."""
    job = Job()
    job.see_many(20, 2.0)
    for _ in range(10):
        assert job.see_many(IN_A_ROW - 1, 9.0) == []
        assert job.see_many(1, 2.0) == []


def test_a_larger_batch_is_not_slow():
    """Each stage has its own usual; a step that takes twice as long as those of the stage before is no episode."""
    job = Job(stage_of=lambda step: (step - 1) // 30)
    assert [job.see_many(30, seconds) for seconds in (1.0, 2.0, 4.0, 1.0)] == [[], [], [], []]
    one = Job()
    assert one.see_many(30, 1.0) == []
    assert len(one.see_many(30, 2.0)) == 1
    later = Job(stage_of=lambda step: (step - 1) // 30)
    later.see_many(40, 2.0)
    (said,) = later.see_many(10, 4.0)
    assert "step 43 took 4 s, 2.0 x the usual 2 s (median of 10 looks" in said


def test_the_plan_comes_before_what_is_usual():
    """With a planned time the first steps are judged already."""
    job = Job(planned_seconds=1.0)
    assert job.see_many(5, FACTOR) == []
    (said,) = job.see_many(5, 1.5)
    assert "step 8 took 1.5 s, 1.5 x the planned 1 s: no rank stands out" in said


@pytest.mark.parametrize(
    ("busy", "words"),
    [
        ((1.0, 1.1), "no rank stands out, each works as long as the others"),
        ((1.0,), "this job has one rank"),
        ((1.0, None), "which rank is slow is not known"),
    ],
)
def test_when_nobody_can_be_named(busy, words):
    """It says why."""
    job = Job(planned_seconds=1.0)
    (said,) = job.see_many(IN_A_ROW, 2.0, busy=busy)
    assert said.endswith(words)


def test_what_is_not_judged():
    """A step seen before, a step with an evaluation in it, and the first looks of a job without a planned time."""
    slowness = Slowness(planned_seconds=1.0)
    slow = [beat(0, seconds=9.0)]
    assert [slowness.see(slow) for _ in range(9)] == [None] * 9
    for step in range(60, 70):
        assert slowness.see([replace(slow[0], steps=step, seconds=None)]) is None
    job = Job()
    assert job.see_many(4, 1.0) == job.see_many(3, 9.0) == []
