"""Where another stack owns the schedule, its own curve must be followed exactly, and a known mistake is named."""

import dataclasses

import pytest
from plan_by_hand import plan_by_hand

from batchwright_witness.findings import rate_difference
from batchwright_witness.rates import RateCheck
from batchwright_witness.track import Track
from launcher.planning.learning_rate import learning_rate_at
from launcher.planning.schedulers.drawing import compiled_rate
from launcher.spec.rates import CompiledSchedule

PEAK = 3e-4
LINEAR = {"num_warmup_steps": 10, "num_training_steps": 100, "scheduler_specific_kwargs": {}}
PREPARED = {**LINEAR, "num_warmup_steps": 20, "num_training_steps": 200}
DECAY = {
    "total_num_steps": 100,
    "warmup_min_lr": 0.0,
    "warmup_max_lr": PEAK,
    "warmup_num_steps": 10,
    "warmup_type": "linear",
}
STACKS = {
    "script:transformers": CompiledSchedule(
        stack="transformers", scheduler="linear", arguments=LINEAR, lag_steps=1
    ),
    "script:accelerate": CompiledSchedule(
        stack="accelerate", scheduler="linear", arguments=PREPARED, calls_per_step=2, lag_steps=1
    ),
    "engine:WarmupDecayLR": CompiledSchedule(
        stack="deepspeed", scheduler="WarmupDecayLR", arguments=DECAY, lag_steps=2
    ),
}


def plan_of(owner):
    """A plan in which another stack owns the schedule."""
    made = plan_by_hand(peak=PEAK, warmup_steps=10, total_steps=100)
    rates = dataclasses.replace(made.learning_rate, owner=owner, compiled=STACKS[owner])
    return dataclasses.replace(made, learning_rate=rates)


def check_of(plan):
    return RateCheck(
        planned=plan.learning_rate, global_batch_size=8, rate_at=learning_rate_at, draw=compiled_rate
    )


def follow(check, rates):
    return [check.see(done=step, tried=step, rates=[rate]) for step, rate in enumerate(rates, 1)]


@pytest.mark.parametrize("owner", STACKS)
def test_its_own_curve_is_followed(owner):
    """Every step is the stack's own curve, whose words say whose it is; a ten-millionth beside it is not."""
    check = check_of(plan_of(owner))
    rates = [compiled_rate(STACKS[owner], peak=PEAK, step=step) for step in range(1, 101)]
    assert all(follow(check, rates))
    assert check.words == f"as {STACKS[owner].scheduler} draws it"
    assert not all(follow(check_of(plan_of(owner)), [rate * (1 + 3e-7) for rate in rates]))


def test_no_convention_is_let_pass():
    """A curve that is one step ahead of the stack's is another one, whoever else numbers steps like that."""
    check = check_of(plan_of("script:transformers"))
    assert follow(check, [PEAK * step / 10 for step in (1, 2, 3)]) == [False, False, False]


MISTAKES = {
    "advanced per process": (
        "script:transformers",
        lambda step: PEAK * min(1, 2 * (step - 1) / 10),
        "it is advanced 2 times a step, once per process: Accelerate has prepared it",
    ),
    "not prepared": (
        "script:accelerate",
        lambda step: PEAK * (step - 1) / 20,
        "it is advanced once a step",
    ),
    "log": (
        "engine:WarmupDecayLR",
        lambda step: compiled_rate(
            dataclasses.replace(STACKS["engine:WarmupDecayLR"], arguments={**DECAY, "warmup_type": "log"}),
            peak=PEAK,
            step=step,
        ),
        "its warmup is log",
    ),
    "ahead": ("engine:WarmupDecayLR", lambda step: PEAK * (step - 1) / 10, "it is one step ahead"),
    "nothing known": ("script:transformers", lambda step: PEAK / 3, ""),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_what_was_done_instead(name):
    """The message names planned and found, the mistake where it is a known one, what was planned, and what to do."""
    owner, rate, words = MISTAKES[name]
    plan = plan_of(owner)
    check = check_of(plan)
    assert not all(follow(check, [rate(step) for step in (1, 2, 3)]))
    found = rate_difference(plan, check, several=False, draw=compiled_rate)
    step, planned, used = check.contradicted
    assert found.message == f"planned learning rate {planned:.6g} at optimizer step {step}, found {used:.6g}"
    assert [words in each for each in found.because[:-1]] == ([True] if words else [])
    assert found.because[-1].startswith(f"planned: {STACKS[owner].scheduler} with ")
    assert ("{scheduler_warmup_steps}" in found.hint) == owner.startswith("script:")


@pytest.mark.parametrize(
    ("owner", "counts"), [("script:transformers", True), ("engine:WarmupDecayLR", False)]
)
def test_skipped_steps(owner, counts):
    """Only a schedule that the script steps itself may go on where a step was skipped for overflow."""
    steps = [{"done": 1, "tried": 3}, {"done": 2, "tried": 4}, {"done": 3, "tried": 7}]
    for by, followed in (("done", True), ("tried", counts)):
        check = check_of(plan_of(owner))
        seen = [
            check.see(**step, rates=[compiled_rate(STACKS[owner], peak=PEAK, step=step[by])])
            for step in steps
        ]
        assert all(seen) is followed


def test_a_resumed_engine_that_has_skipped_steps():
    """DeepSpeed's count of steps has those that overflowed in it; its schedule has not, before the resume as after."""
    track = Track(index=0, before=9, samples=None, tokens=None, rate=None, skipped_before=2)
    track.steps, track.skipped = 3, 1
    assert (track.number, track.applied) == (12, 10)
    check = check_of(plan_of("engine:WarmupDecayLR"))
    rate = compiled_rate(STACKS["engine:WarmupDecayLR"], peak=PEAK, step=10)
    assert check.see(done=track.applied, tried=track.number + track.skipped, rates=[rate])
