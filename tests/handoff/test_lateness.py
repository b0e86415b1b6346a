"""Who is late, from what the ranks say of themselves."""

from dataclasses import asdict, replace

from hypothesis import given
from hypothesis import strategies as st

from launcher.handoff.guard.lateness import (
    EDGE_SECONDS,
    Beat,
    Whereabouts,
    allowed_seconds,
    late_ranks,
    read_beats,
    stall_words,
)

PHASES = ["start", "data", "forward", "backward", "optimizer", "evaluation", "end"]


def beat(rank=0, **changes):
    return replace(
        Beat(
            rank=rank,
            host=f"node-{'ab'[rank % 2]}",
            pid=100 + rank,
            phase="backward",
            steps=57,
            tried=7,
            micro=1,
            batches=15,
            aside=0,
            busy=1.0,
            seconds=2.0,
            seen=True,
        ),
        **changes,
    )


@st.composite
def jobs(draw):
    size = draw(st.integers(2, 6))
    small = st.integers(0, 3)
    return [
        beat(rank, steps=draw(small), micro=draw(small), phase=draw(st.sampled_from(PHASES)))
        for rank in range(size)
    ]


@given(jobs())
def test_nobody_waits_for_who_is_ahead(beats):
    """A late rank has done no more than any other, some rank has done more, and all that are as far are named."""
    late = late_ranks(beats, world_size=len(beats))
    done = {each.rank: (each.steps, each.micro) for each in beats}
    if not late:
        assert len(set(done.values())) == 1
        return
    assert {done[rank] for rank in late} == {min(done.values())}
    assert len(late) < len(beats)


@given(jobs(), st.data())
def test_a_stopped_process_comes_first(beats, data):
    """Whatever it says of itself: it cannot say more."""
    stopped = data.draw(st.sets(st.sampled_from([each.rank for each in beats]), min_size=1))
    assert late_ranks(beats, world_size=len(beats), stopped=stopped) == tuple(sorted(stopped))


@given(jobs(), st.integers(1, 3))
def test_a_rank_that_never_began(beats, more):
    """Before everything else."""
    size = len(beats)
    assert late_ranks(beats, world_size=size + more, stopped=[0]) == tuple(range(size, size + more))


def test_the_one_that_is_not_in_its_backward():
    """Steps, then micro-batches, then phases."""
    waiting = [beat(rank) for rank in range(4)]
    for late in (
        beat(2, steps=56, micro=4, phase="optimizer"),
        beat(2, micro=0),
        beat(2, phase="forward"),
        beat(2, phase="data"),
    ):
        assert late_ranks([*waiting[:2], late, waiting[3]], world_size=4) == (2,)
    assert late_ranks(waiting, world_size=4) == ()
    assert late_ranks([beat(0)], world_size=1) == (0,)


def test_patience():
    """timeouts.stall between the first and the last step; half an hour at least before, after, and never where blind."""

    def allowed(*beats, stall=600.0, total=None):
        return allowed_seconds(beats, stall_seconds=stall, total_steps=total)

    training, starting = beat(0), beat(1, tried=0, steps=0, phase="start")
    assert allowed(training, starting) == 600
    assert allowed(starting, starting) == EDGE_SECONDS
    assert allowed(starting, stall=7200.0) == 7200
    assert allowed(training, total=58) == 600
    assert allowed(training, total=57) == EDGE_SECONDS
    assert allowed(training, beat(1, phase="end")) == EDGE_SECONDS
    assert allowed(replace(starting, seen=False)) is None
    assert allowed(training, replace(training, rank=1, seen=False)) is None
    assert allowed(training, replace(starting, seen=False)) == 600


def test_everything_that_gets_on_is_progress():
    """Steps, left out ones, micro-batches, batches, evaluations, and a new process; a phase alone is none."""
    now = beat()
    for name in ("pid", "steps", "tried", "micro", "batches", "aside"):
        assert replace(now, **{name: getattr(now, name) + 1}).progress != now.progress
    assert replace(now, phase="optimizer", busy=9.0, seconds=None).progress == now.progress


def test_what_cannot_be_read():
    """A damaged beat is passed over; the others come by rank."""
    good = [asdict(beat(rank)) for rank in (2, 0)]
    assert [each.rank for each in read_beats([*good, {}, {**good[0], "rank": "x"}])] == [0, 2]


def words(beats, *answers, late):
    return stall_words(seconds=600.4, beats=beats, late=late, whereabouts=answers, folder="runs/x")


def test_the_line_that_a_person_reads():
    """Seconds, rank, host, step, phase, state of the process, line of the code, and where the stacks are."""
    beats = [beat(0), beat(1, phase="data", steps=56)]
    found = Whereabouts(rank=1, lines=("train.py:31 in load", "train.py:60 in main"))
    assert words(beats, found, late=[1]) == (
        "no step for 600 s: rank 1 on node-b is late (step 57, data, train.py:31 in load); stacks in runs/x/stacks/"
    )
    assert "rank 1 on node-b is late (step 57, data, stopped (T));" in words(
        beats, Whereabouts(rank=1, state="stopped (T)"), late=[1]
    )
    assert "no rank is behind the others (step 58, backward);" in words([beat(0), beat(1)], late=[])
    assert "rank 2 has not begun;" in words(beats, late=[2])


def test_before_the_first_step():
    """It says so."""
    beats = [beat(rank, tried=0, steps=0, micro=0, phase="start") for rank in range(2)]
    assert words(beats, late=[]).startswith(
        "no first step for 600 s: no rank is behind the others (before the first step)"
    )


def test_many_late_ranks_are_counted():
    """Four names, and how many more."""
    beats = [beat(rank, phase="data") for rank in range(9)]
    said = words(beats, late=range(9))
    assert said.count("is late") == 4
    assert "5 more" in said
