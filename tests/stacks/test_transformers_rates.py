"""The schedules and arguments of Hugging Face's Trainer against the plan's curve: one step late, else the same."""

from dataclasses import replace
from fractions import Fraction

import pytest
from driving import BATCH, curve, plan_of_lengths, rates_used, schedule

from launcher.planning.conventions import hugging_face_warmup, hugging_face_warmup_steps

pytestmark = [pytest.mark.torch, pytest.mark.usefixtures("fresh_accelerate")]

PEAK = 5e-5
STEPS = 40
WARMUPS = [0, 1, 7, 40]


def hugging_face(name, **lengths):
    from transformers import optimization

    make = getattr(optimization, f"get_{name}_schedule_with_warmup")
    return rates_used(lambda optimizer: make(optimizer, **lengths), steps=STEPS, peak=PEAK)


def plan_of(warmup, decay, **rest):
    return schedule(peak=PEAK, warmup_steps=warmup, total_steps=STEPS, decay=decay, **rest)


def exactly(expected):
    return pytest.approx(expected, rel=1e-12, abs=1e-18)


@pytest.mark.parametrize("warmup", WARMUPS)
@pytest.mark.parametrize("decay", ["linear", "cosine"])
def test_schedules_are_the_plan_with_a_zero_first_step(warmup, decay):
    """get_{linear,cosine}_schedule_with_warmup is the plan's curve with first_step: zero, step for step.

    Source: transformers@5.23.0 optimization.py:_get_linear_schedule_with_warmup_lr_lambda,
    _get_cosine_schedule_with_warmup_lr_lambda.
    """
    used = hugging_face(decay, num_warmup_steps=warmup, num_training_steps=STEPS)
    assert used == exactly(curve(plan_of(warmup, decay), steps=STEPS))


@pytest.mark.parametrize("warmup", WARMUPS)
def test_warmup_is_one_step_late(warmup):
    """Step k warms up at (k - 1) / W: the first step trains at 0 and the peak comes at W + 1.

    Source: transformers@5.23.0 optimization.py:_get_constant_schedule_with_warmup_lr_lambda.
    """
    used = hugging_face("constant", num_warmup_steps=warmup)
    shares = [hugging_face_warmup(step=step, warmup_steps=warmup) for step in range(1, STEPS + 1)]
    assert used == exactly([PEAK * share for share in shares])
    assert used == exactly(curve(plan_of(warmup, "constant"), steps=STEPS))
    assert used[0] == (0 if warmup else PEAK)
    if warmup < STEPS:
        assert used.index(PEAK) == warmup


def test_no_step_is_lost_with_one_batch():
    """first_step: one-batch is the same curve one step earlier: it starts above 0 and is at the peak at step W."""
    used = hugging_face("linear", num_warmup_steps=7, num_training_steps=STEPS)
    planned = curve(plan_of(7, "linear", first_step="one-batch"), steps=STEPS)
    assert planned[:-1] == exactly(used[1:])
    assert planned.index(max(planned)) + 1 == 7


@pytest.mark.parametrize("total", [1, 99, 100, 7038])
@pytest.mark.parametrize("warmup", [0, 0.0, 0.01, 0.03, 0.2843, 0.999, 1, 1.0, 1.9, 100, 2000])
def test_warmup_argument(warmup, total, tmp_path):
    """TrainingArguments.warmup_steps is a number of steps from 1 on, and below 1 a share, rounded up.

    Source: transformers@5.23.0 training_args.py:TrainingArguments.get_warmup_steps.
    """
    found = arguments(tmp_path, warmup_steps=warmup).get_warmup_steps(total)
    assert found == hugging_face_warmup_steps(warmup=warmup, total_steps=total)
    assert isinstance(found, int)


def test_a_share_is_rounded_from_binary(tmp_path):
    """0.07 of 100 steps is 8 of them in a Trainer and 7 % is 7 in a recipe: why {warmup_steps} is an integer."""
    found = arguments(tmp_path, warmup_steps=0.07).get_warmup_steps(100)
    planned = plan_of_lengths(warmup="7 %", length="100 steps").learning_rate.warmup_steps
    assert found == hugging_face_warmup_steps(warmup=0.07, total_steps=100) == planned + 1
    assert arguments(tmp_path, warmup_steps=planned).get_warmup_steps(100) == planned


def test_warmup_of_bert_phase_one(tmp_path):
    """0.2843 of 7038 steps, the warmup of BERT's first phase, is as many steps in a Trainer as in a plan: 2001.

    Source: NVIDIA/DeepLearningExamples@2de2945 PyTorch/LanguageModeling/BERT/scripts/configs/pretrain_config.sh.
    """
    found = arguments(tmp_path, warmup_steps=0.2843).get_warmup_steps(7038)
    planned = plan_of_lengths(warmup="28.43 %", length="7038 steps").learning_rate.warmup_steps
    assert found == planned == 2001


def test_there_is_no_warmup_ratio(tmp_path):
    """warmup_ratio of version 4 is gone in 5.

    Source: transformers@5.23.0 training_args.py:TrainingArguments.
    """
    with pytest.raises(TypeError, match="warmup_ratio"):
        arguments(tmp_path, warmup_ratio=0.03)


def arguments(folder, **options):
    from transformers import TrainingArguments

    return TrainingArguments(output_dir=str(folder), use_cpu=True, report_to=[], **options)


@pytest.mark.parametrize("warmup", WARMUPS[:-1])
@pytest.mark.parametrize(("power", "end"), [(1.0, 1e-7), (0.5, 0.0), (2.0, 1e-6)])
def test_a_polynomial_is_its_polynomial(warmup, power, end):
    """get_polynomial_decay_schedule_with_warmup is decay: polynomial, step for step, past its end too.

    Source: transformers@5.23.0 optimization.py:_get_polynomial_decay_schedule_with_warmup_lr_lambda.
    """
    used = hugging_face(
        "polynomial_decay", num_warmup_steps=warmup, num_training_steps=30, power=power, lr_end=end
    )
    planned = replace(
        plan_of(warmup, "polynomial", final=end), decay_power=power, decay_end_samples=Fraction(30 * BATCH)
    )
    if warmup < 30:
        assert used == exactly(curve(planned, steps=STEPS))


@pytest.mark.parametrize(("warmup", "scale"), [(1, None), (7, None), (7, 3), (0, 20), (0, 10_000)])
def test_an_inverse_root_is_its_inverse_root(warmup, scale):
    """get_inverse_sqrt_schedule is decay: inverse-sqrt with the warmup, or the time scale, as its length.

    Source: transformers@5.23.0 optimization.py:_get_inverse_sqrt_schedule_lr_lambda.
    """
    from transformers.optimization import get_inverse_sqrt_schedule

    used = rates_used(
        lambda optimizer: get_inverse_sqrt_schedule(optimizer, num_warmup_steps=warmup, timescale=scale),
        steps=STEPS,
        peak=PEAK,
    )
    planned = replace(plan_of(warmup, "inverse-sqrt"), decay_samples=Fraction((scale or warmup) * BATCH))
    assert used == exactly(curve(planned, steps=STEPS))


def test_marks_are_milestones():
    """MultiStepLR, stepped once per optimizer step, falls where decay_at says: its first step is not at zero.

    Source: torch@2.13 optim/lr_scheduler.py:MultiStepLR.
    """
    from torch.optim.lr_scheduler import MultiStepLR

    used = rates_used(
        lambda optimizer: MultiStepLR(optimizer, milestones=[10, 20, 35], gamma=0.1), steps=STEPS, peak=PEAK
    )
    marks = tuple(Fraction(step * BATCH) for step in (10, 20, 35))
    planned = replace(
        plan_of(0, "step", first_step="one-batch", final=PEAK),
        decay_marks=marks,
        decay_shares=(0.1, 0.01, 0.001),
    )
    assert used == exactly(curve(planned, steps=STEPS))
