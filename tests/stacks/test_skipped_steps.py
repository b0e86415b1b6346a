"""An optimizer step that is skipped, as fp16 does when a gradient overflows: who goes on with the schedule."""

import pytest
from driving import BATCH, schedule

from launcher.planning.conventions import megatron_samples_counted
from launcher.planning.learning_rate import learning_rate_at


def rates_after(planned, *, steps, skipped, lag):
    """The plan's curve read at the steps applied so far, `lag` late, where the skipped ones are not counted."""
    rates = []
    for step in range(1, steps + 1):
        applied = step - 1 - sum(each < step for each in skipped)
        rates.append(learning_rate_at(schedule=planned, samples=max(0, applied + 1 - lag) * BATCH))
    return rates


@pytest.mark.real
@pytest.mark.parametrize("engine", ["zero 1, bf16", "zero 2, fp32", "zero 3, bf16"])
def test_deepspeeds_schedule_waits_for_a_skipped_step(two_ranks, engine):
    """A gradient that is not finite on one rank skips the step on all, and the schedule with it; samples are counted.

    Source: deepspeed@0.19.8 runtime/engine.py:DeepSpeedEngine._take_model_step, which fp16 shares; fp16 itself needs a
    processor that has it.
    """
    seen, planned = skipping(two_ranks, engine)
    steps, skipped = two_ranks["skipping"]["steps"], two_ranks["skipping"]["overflows"]
    assert seen["rates"] == pytest.approx(rates_after(planned, steps=steps, skipped=skipped, lag=2))
    assert seen["rates"] != pytest.approx(rates_after(planned, steps=steps, skipped=[], lag=2))
    assert seen["skipped_steps"] == len(skipped)
    assert (seen["global_steps"], seen["global_samples"]) == (steps, steps * seen["train_batch_size"])


@pytest.mark.real
def test_deepspeed_without_zero_looks_for_no_overflow_in_fp32(two_ranks):
    """Plain fp32 takes the step with whatever it has, and its schedule goes on.

    Source: deepspeed@0.19.8 runtime/engine.py:DeepSpeedEngine._take_model_step.
    """
    seen, planned = skipping(two_ranks, "no zero, fp32")
    steps = two_ranks["skipping"]["steps"]
    assert seen["skipped_steps"] == 0
    assert seen["rates"] == pytest.approx(rates_after(planned, steps=steps, skipped=[], lag=2))


def skipping(two_ranks, engine):
    written = two_ranks["engine schedule"]
    planned = schedule(
        peak=written["warmup_max_lr"],
        warmup_steps=written["warmup_num_steps"],
        total_steps=written["total_num_steps"],
        decay="linear",
    )
    return two_ranks["skipping"]["engines"][engine], planned


@pytest.mark.torch
@pytest.mark.usefixtures("fresh_accelerate")
@pytest.mark.filterwarnings("ignore:Seems like `optimizer.step\\(\\)` has been overridden:UserWarning")
@pytest.mark.parametrize("skipped", [[], [1, 2, 5], [4]])
def test_accelerates_schedule_waits_for_a_skipped_step(skipped):
    """A step that the gradient scaler skips is no step of the schedule: overflows at the start delay the warmup.

    Source: accelerate@1.15.0 scheduler.py:AcceleratedScheduler.step, optimizer.py:AcceleratedOptimizer.step.
    """
    import torch
    from accelerate import Accelerator
    from transformers import get_linear_schedule_with_warmup

    warmup, total = 3, 8
    accelerator = Accelerator(cpu=True)
    accelerator.scaler = torch.amp.GradScaler("cpu")  # what mixed_precision="fp16" makes on a GPU
    parameter = torch.nn.Parameter(torch.zeros(1))
    optimizer = accelerator.prepare(torch.optim.SGD([parameter], lr=1.0))
    scheduler = accelerator.prepare(get_linear_schedule_with_warmup(optimizer, warmup, total))
    rates = []
    for step in range(1, total + 1):
        rates.append(optimizer.param_groups[0]["lr"])
        accelerator.backward((parameter * (float("inf") if step in skipped else 1.0)).sum())
        optimizer.step()
        assert optimizer.step_was_skipped is (step in skipped)
        scheduler.step()
        optimizer.zero_grad()
    planned = schedule(peak=1.0, warmup_steps=warmup, total_steps=total, decay="linear")
    assert rates == pytest.approx(rates_after(planned, steps=total, skipped=skipped, lag=1))


@pytest.mark.real
def test_megatron_counts_like_them(two_ranks):
    """Megatron, which is not installed, moves on by the samples of the steps that were applied, as read in its source.

    Source: NVIDIA/Megatron-LM@d98e8a64 megatron/training/training.py:train_step (update_successful).
    """
    skipped, steps = two_ranks["skipping"]["overflows"], two_ranks["skipping"]["steps"]
    seen = two_ranks["skipping"]["engines"]["zero 2, fp32"]
    counted = megatron_samples_counted(
        successful=[step not in skipped for step in range(1, steps + 1)],
        num_microbatches=2,
        micro_batch_size=1,
        data_parallel_size=2,
    )
    assert counted == seen["global_samples"] - seen["skipped_steps"] * seen["train_batch_size"]
