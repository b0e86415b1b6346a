"""The witness takes the real schedules of other stacks for the plan's curve exactly where they are that curve."""

import pytest
from driving import plan_of_lengths, rates_used

from batchwright_witness.rates import RateCheck
from launcher.planning.learning_rate import learning_rate_at

PEAK, WARMUP, STEPS = 1e-3, 10, 40


def reading_of(rates, *, decay, warmup=WARMUP, steps=STEPS, peak=PEAK):
    """What the witness makes of the rates of steps 1, 2 ..., against a plan of the same lengths."""
    plan = plan_of_lengths(
        warmup=f"{warmup} steps",
        length=f"{steps} steps",
        peak=peak,
        decay=decay,
        final_learning_rate_ratio=0.0,
    )
    check = RateCheck(
        planned=plan.learning_rate, global_batch_size=plan.batch.global_batch_size, rate_at=learning_rate_at
    )
    for step, rate in enumerate(rates, start=1):
        if not check.see(done=step, tried=step, rates=[rate]):
            break
    return check


@pytest.mark.torch
@pytest.mark.parametrize("decay", ["linear", "cosine"])
def test_a_trainers_schedule_is_one_step_behind(decay):
    """get_{linear,cosine}_schedule_with_warmup agrees, one step behind."""
    from transformers import optimization

    make = getattr(optimization, f"get_{decay}_schedule_with_warmup")
    check = reading_of(
        rates_used(lambda optimizer: make(optimizer, WARMUP, STEPS), steps=STEPS, peak=PEAK), decay=decay
    )
    assert check.agreed
    assert check.words == "one step behind the plan"


@pytest.mark.torch
def test_deepspeeds_linear_schedule_is_two_steps_behind():
    """WarmupDecayLR with warmup_type linear agrees, two steps behind."""
    check = reading_of(deepspeed_rates("WarmupDecayLR", warmup_max_lr=PEAK), decay="linear")
    assert check.agreed
    assert check.words == "two steps behind the plan"


@pytest.mark.torch
def test_deepspeeds_default_schedule_is_not_the_plan():
    """Without warmup_type the warmup is logarithmic, and the third step says so."""
    check = reading_of(
        deepspeed_rates("WarmupDecayLR", warmup_max_lr=PEAK, warmup_type="log"), decay="linear"
    )
    step, planned, found = check.contradicted
    assert step == 3
    assert found > planned


@pytest.mark.torch
def test_deepspeeds_cosine_is_not_the_plan():
    """WarmupCosineLR leaves the curve where its warmup ends: it skips the peak."""
    check = reading_of(deepspeed_rates("WarmupCosineLR", cos_min_ratio=0.0), decay="cosine")
    assert check.contradicted[0] == WARMUP + 2


@pytest.mark.torch
@pytest.mark.parametrize(("milestones", "agrees"), [((20, 30), True), ((21, 30), False), ((19, 30), False)])
def test_a_late_warmup_with_marks_in_time(milestones, agrees):
    """LinearLR warms up one step late and MultiStepLR falls in time: both are the plan's; other marks are not."""
    from torch.optim.lr_scheduler import ChainedScheduler, LinearLR, MultiStepLR

    def make(optimizer):
        warmup = LinearLR(optimizer, start_factor=1e-12, total_iters=WARMUP)
        return ChainedScheduler([warmup, MultiStepLR(optimizer, milestones=milestones, gamma=0.1)])

    plan = plan_of_lengths(
        warmup=f"{WARMUP} steps",
        length=f"{STEPS} steps",
        peak=PEAK,
        decay="step",
        decay_at=["20 steps", "30 steps"],
    )
    check = RateCheck(
        planned=plan.learning_rate, global_batch_size=plan.batch.global_batch_size, rate_at=learning_rate_at
    )
    seen = [
        check.see(done=step, tried=step, rates=[rate])
        for step, rate in enumerate(rates_used(make, steps=STEPS, peak=PEAK), start=1)
    ]
    assert all(seen) == agrees
    assert (check.contradicted is None) == agrees


@pytest.mark.real
def test_a_schedule_stepped_per_process_is_not_the_plan(two_ranks):
    """A schedule that Accelerate steps once per process contradicts the plan at the second step."""
    lengths = two_ranks["schedule"]
    options = {"warmup": lengths["warmup_steps"], "steps": lengths["total_steps"], "peak": 1.0}
    assert reading_of(two_ranks["rates"], decay="linear", **options).contradicted[0] == 2
    assert reading_of(two_ranks["rates with split_batches"], decay="linear", **options).agreed


def deepspeed_rates(name, **options):
    from deepspeed.runtime import lr_schedules

    options = {"warmup_num_steps": WARMUP, "total_num_steps": STEPS, "warmup_type": "linear", **options}
    return rates_used(
        lambda optimizer: getattr(lr_schedules, name)(optimizer, **options), steps=STEPS, peak=PEAK
    )
