"""Which learning rates count as the plan's."""

import dataclasses
import math
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st
from plan_by_hand import plan_by_hand

from batchwright_witness.rates import TOLERANCE, RateCheck
from launcher.planning.learning_rate import learning_rate_at

PEAK = 3e-4


def check(**plan):
    """A check of a plan with batches of eight."""
    made = plan_by_hand(peak=PEAK, **plan)
    return RateCheck(planned=made.learning_rate, global_batch_size=8, rate_at=learning_rate_at)


def follow(the_check, rates, first=1):
    """Whether every step is explained."""
    return [the_check.see(done=step, tried=step, rates=[rate]) for step, rate in enumerate(rates, first)]


@given(
    warmup=st.integers(0, 50),
    more=st.integers(5, 500),
    first=st.integers(1, 40),
    stack=st.sampled_from(["as planned", "Trainer", "DeepSpeed", "nanoGPT"]),
)
def test_the_conventions_of_four_stacks(warmup, more, first, stack):
    """Whatever the schedule and wherever a resumed run goes on, a stack's own numbering follows the plan's curve."""
    total = warmup + more

    def cosine(step):  # as transformers' get_cosine_schedule_with_warmup has it
        if step < warmup:
            return PEAK * step / warmup
        return PEAK * max(0.0, 0.5 * (1 + math.cos(math.pi * min(1.0, (step - warmup) / (total - warmup)))))

    used = {
        "as planned": cosine,
        "Trainer": lambda step: cosine(step - 1),
        "DeepSpeed": lambda step: cosine(max(0, step - 2)),
        "nanoGPT": lambda step: PEAK * step / (warmup + 1) if step <= warmup else cosine(step - 1),
    }[stack]
    the_check = check(warmup_steps=warmup, total_steps=total)
    assert all(follow(the_check, [used(step) for step in range(first, first + 6)], first))


@given(st.floats(0.01, 100).filter(lambda factor: abs(factor - 1) > 2 * TOLERANCE), st.integers(0, 20))
def test_another_peak_is_found_by_the_third_step(factor, warmup):
    """A peak that is off by more than the tolerance contradicts the plan within three steps."""
    the_check = check(warmup_steps=warmup)
    wrong = [factor * PEAK * min(1.0, (step - 1) / warmup if warmup else 1.0) for step in (1, 2, 3)]
    assert not all(follow(the_check, wrong))


def test_a_warmup_one_step_off_in_two_thousand():
    """The tolerance is for rounding only: another warmup is another curve."""
    assert follow(check(warmup_steps=2000), [PEAK * step / 1999 for step in (1, 2, 3)])[0] is False


def test_the_lag_stays_the_same():
    """Twice the slope, one step late, meets the plan's curve at step 2 under another lag than at step 1."""
    assert follow(check(warmup_steps=10), [0.0, 2 * PEAK / 10, 4 * PEAK / 10]) == [True, False, False]


def test_any_group_may_be_the_plans():
    """Layer-wise rates are multiples; one group on the curve is enough, a different one each step is not."""
    the_check = check()
    assert the_check.see(done=1, tried=1, rates=[PEAK / 2, PEAK])
    assert the_check.see(done=2, tried=2, rates=[PEAK / 2, PEAK])
    assert the_check.group == 1
    assert not the_check.see(done=3, tried=3, rates=[PEAK, PEAK / 2])
    assert the_check.contradicted == (3, PEAK, PEAK / 2)


def test_whole_steps_of_a_warmup_in_samples():
    """A script that was told 90 warmup steps follows a plan whose warmup is 89.4 steps long."""
    made = plan_by_hand(peak=PEAK, warmup_steps=90)
    schedule = dataclasses.replace(made.learning_rate.schedule, warmup_samples=Fraction(715))
    planned = dataclasses.replace(made.learning_rate, schedule=schedule)
    the_check = RateCheck(planned=planned, global_batch_size=8, rate_at=learning_rate_at)
    assert all(follow(the_check, [PEAK * step / 90 for step in (1, 2, 3)]))


@pytest.mark.parametrize("by", ["done", "tried"])
def test_skipped_steps_count_either_way(by):
    """Schedulers advance with the steps that were done, or with those that were tried; both are the plan's curve."""
    the_check = check(warmup_steps=10)
    steps = [{"done": 1, "tried": 3}, {"done": 2, "tried": 4}, {"done": 3, "tried": 7}]
    assert all(the_check.see(**step, rates=[PEAK * step[by] / 10]) for step in steps)
    assert the_check.words == "as planned"
