"""Warmups and batches of other stacks: where their first step stands, and where they reach the peak."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from plan_of import amount, plan_of

from launcher.planning.conventions import (
    accelerate_scheduler_steps,
    deepspeed_linear_warmup,
    deepspeed_log_warmup,
    gpt_neox_warmup,
    hugging_face_warmup,
    hugging_face_warmup_steps,
    megatron_samples_counted,
    megatron_warmup,
    megatron_warmup_samples,
    nanogpt_mup_warmup,
    nanogpt_warmup,
    olmo_core_scale,
)
from launcher.planning.learning_rate import learning_rate_of_step
from launcher.planning.scaling import sqrt_scale
from launcher.spec.training import Optimizer, Schedule

close = pytest.approx
WARMUPS = {
    "hugging face": (hugging_face_warmup, lambda k, w: (k - 1) / w, 1),
    "deepspeed linear": (deepspeed_linear_warmup, lambda k, w: max(0, k - 2) / w, 2),
    "deepspeed log": (deepspeed_log_warmup, lambda k, w: math.log(max(0, k - 2) + 1) / math.log(w), 1),
    "gpt-neox": (gpt_neox_warmup, lambda k, w: max(1, k - 1) / w, 1),
    "nanogpt": (nanogpt_warmup, lambda k, w: k / (w + 1), 1),
    "nanogpt-mup": (nanogpt_mup_warmup, lambda k, w: (k - 1) / w, 1),
}


@pytest.mark.parametrize("name", WARMUPS)
@given(warmup=st.integers(2, 500))
def test_each_warmup_is_its_stacks_formula_and_reaches_the_peak_when_it_says(name, warmup):
    """Step k's factor is the formula of the source, the peak comes at W + 1 (DeepSpeed's linear: W + 2), and stays."""
    factor, formula, late = WARMUPS[name]
    peak = warmup + late
    for step in (1, 2, 3, warmup, peak - 1):
        if step < peak:
            assert factor(step=step, warmup_steps=warmup) == close(min(1.0, formula(step, warmup)))
    assert factor(step=peak, warmup_steps=warmup) == close(1)
    assert factor(step=peak + 1, warmup_steps=warmup) == 1
    if name != "gpt-neox":  # its second step is as high as its first
        assert factor(step=peak - 1, warmup_steps=warmup) < 1


@pytest.mark.parametrize(
    ("factor", "zeros"),
    [
        (hugging_face_warmup, 1),
        (deepspeed_linear_warmup, 2),
        (deepspeed_log_warmup, 2),
        (gpt_neox_warmup, 0),
        (nanogpt_warmup, 0),
        (nanogpt_mup_warmup, 1),
    ],
)
def test_steps_at_zero(factor, zeros):
    """How many steps each stack trains at a learning rate of zero."""
    assert [factor(step=step, warmup_steps=10) for step in (1, 2, 3)].count(0) == zeros


@given(st.integers(1, 1000), st.integers(1, 512))
def test_megatron_counts_samples_before_the_step(warmup, batch):
    """The rate is init + (max - init) s / W_samples: 0 at the first step, the peak at s = W."""
    samples = warmup * batch
    assert megatron_warmup(samples_before=0, warmup_samples=samples) == 0
    assert megatron_warmup(samples_before=0, warmup_samples=samples, initial_share=0.25) == 0.25
    assert megatron_warmup(samples_before=samples, warmup_samples=samples, initial_share=0.25) == 1
    assert megatron_warmup(samples_before=samples + 1, warmup_samples=samples) == 1
    assert megatron_warmup(samples_before=0, warmup_samples=0) == 1


@given(warmup=st.integers(0, 1000), batch=st.integers(1, 512), length=st.integers(1001, 5000))
def test_megatron_keeps_its_warmup_in_samples(warmup, batch, length):
    """Steps x batch or samples, as in the plan; a share of the decay's length goes before both.

    Source: NVIDIA/Megatron-LM@d98e8a64 megatron/training/training.py:get_optimizer_param_scheduler.
    """

    def planned(written):
        schedule = Schedule(warmup=amount(written), length=amount(f"{length} steps"))
        plan = plan_of(global_batch_size=batch, optimizer=Optimizer(learning_rate=1.0), schedule=schedule)
        return plan.learning_rate.schedule.warmup_samples

    sizes = {"global_batch_size": batch, "decay_samples": length * batch}
    assert megatron_warmup_samples(warmup_steps=warmup, **sizes) == planned(f"{warmup} steps")
    assert megatron_warmup_samples(warmup_samples=warmup, **sizes) == planned(f"{warmup} samples")
    share = megatron_warmup_samples(warmup_share=0.05, warmup_steps=warmup, **sizes)
    assert share == close(float(planned("5 %")))


def test_megatron_refuses_a_warmup_as_long_as_its_decay():
    """Where the plan only warns, Megatron asserts lr_warmup_steps < lr_decay_steps."""
    with pytest.raises(ValueError, match="80 samples is not shorter than 80"):
        megatron_warmup_samples(warmup_steps=10, global_batch_size=8, decay_samples=80)


@given(st.lists(st.booleans(), max_size=30))
def test_megatron_does_not_count_a_skipped_step(successful):
    """The schedule goes on by micro-batches x micro x data-parallel size, where the optimizer took its step.

    Source: NVIDIA/Megatron-LM@d98e8a64 megatron/training/training.py:train_step (update_successful).
    """
    plan = plan_of(global_batch_size=24, micro_batch_size=2, devices=4, device="cpu")
    counted = megatron_samples_counted(
        successful=successful,
        num_microbatches=plan.batch.gradient_accumulation_steps,
        micro_batch_size=plan.batch.micro_batch_size,
        data_parallel_size=plan.batch.data_parallel_size,
    )
    assert counted == successful.count(True) * plan.batch.global_batch_size


@given(step=st.integers(1, 40), warmup=st.integers(1, 30), batch=st.integers(1, 64))
def test_the_plan_with_a_zero_first_step_is_hugging_faces_warmup(step, warmup, batch):
    """first_step: zero trains step k at (k - 1) / W of the peak, as a Trainer does."""
    plan = plan_of(
        global_batch_size=batch,
        optimizer=Optimizer(learning_rate=1.0),
        schedule=Schedule(warmup=amount(f"{warmup} steps"), first_step="zero"),
    )
    found = learning_rate_of_step(
        schedule=plan.learning_rate.schedule, samples_after=step * batch, global_batch_size=batch
    )
    assert found == hugging_face_warmup(step=step, warmup_steps=warmup)
    before = (step - 1) * batch
    assert found == close(megatron_warmup(samples_before=before, warmup_samples=warmup * batch))


@pytest.mark.parametrize(
    ("warmup", "total", "steps"), [(0.03, 1000, 30), (0.03, 1001, 31), (500, 10, 500), (0, 10, 0)]
)
def test_hugging_face_warmup_steps(warmup, total, steps):
    """Below 1 a share of the run, rounded up; else steps."""
    assert hugging_face_warmup_steps(warmup=warmup, total_steps=total) == steps


@given(total=st.integers(1, 20000), percent=st.integers(0, 99))
def test_a_share_of_the_run_is_as_many_steps_as_in_a_trainer(total, percent):
    """`N %` of a run of whole steps is ceil(T r), but for the rounding of r as a double."""
    plan = plan_of(
        optimizer=Optimizer(learning_rate=1.0),
        schedule=Schedule(warmup=amount(f"{percent} %"), length=amount(f"{total} steps")),
    )
    assert plan.learning_rate.warmup_steps == -(-total * percent // 100)
    trainer = hugging_face_warmup_steps(warmup=percent / 100, total_steps=total)
    assert abs(trainer - plan.learning_rate.warmup_steps) <= 1


def test_a_prepared_scheduler_ends_early():
    """10,000 steps on 4 processes are over after 2,500 (user report: LTX-Video-Trainer#67)."""
    assert accelerate_scheduler_steps(optimizer_steps=2500, num_processes=4) == 10_000
    assert accelerate_scheduler_steps(optimizer_steps=2500, num_processes=4, split_batches=True) == 2500


def test_olmo_core():
    """The base rate grows by sqrt(ratio) at integer ratios, for Adam's family only."""
    assert olmo_core_scale(batch=1024, current_batch=256, optimizer="adamw") == 2
    assert olmo_core_scale(batch=256, current_batch=512, optimizer="adam") == sqrt_scale(
        batch=256, reference_batch=512
    )
    with pytest.raises(ValueError, match="no rule for sgd"):
        olmo_core_scale(batch=512, current_batch=256, optimizer="sgd")
    with pytest.raises(ValueError, match="no integer factor"):
        olmo_core_scale(batch=384, current_batch=256, optimizer="adamw")


@pytest.mark.parametrize("name", ["hugging face", "gpt-neox", "nanogpt", "nanogpt-mup"])
def test_no_warmup_is_the_peak_at_once(name):
    """With 0 steps of warmup the first step trains at the peak."""
    assert WARMUPS[name][0](step=1, warmup_steps=0) == 1


def test_deepspeed_takes_at_least_two_steps():
    """warmup_num_steps 1 counts as 2: the third step is half-way up (linear), or at 0 still (log: ln 1)."""
    assert [deepspeed_linear_warmup(step=step, warmup_steps=1) for step in (2, 3, 4)] == [0, 1 / 2, 1]
    assert [deepspeed_log_warmup(step=step, warmup_steps=1) for step in (2, 3, 4)] == [0, 1, 1]
