"""What Accelerate makes of a prepared schedule: as many steps per optimizer step as there are processes."""

import pytest
from driving import BATCH, lagging, schedule

from launcher.planning.conventions import accelerate_dummy_lengths, accelerate_scheduler_steps
from launcher.planning.learning_rate import learning_rate_at

PROCESSES = 2


@pytest.mark.real
def test_there_are_two_ranks(two_ranks):
    """The observations come from one job of two ranks, not from two jobs of one."""
    assert two_ranks["num_processes"] == two_ranks["world_size"] == PROCESSES


@pytest.mark.real
@pytest.mark.parametrize("split_batches", [False, True])
def test_a_prepared_schedule_steps_once_per_process(two_ranks, split_batches):
    """A schedule made for T optimizer steps is over after T / processes of them, unless split_batches is on.

    Accumulation changes nothing: two micro-batches per step are seen here, and the documentation's promise that
    lengths need no change under accumulation holds for lengths in optimizer steps x processes alone.
    Source: accelerate@1.15.0 scheduler.py:AcceleratedScheduler.step.
    """
    lengths = two_ranks["schedule"]
    total = lengths["total_steps"]
    planned = schedule(peak=1.0, warmup_steps=lengths["warmup_steps"], total_steps=total, decay="linear")
    taken = [
        accelerate_scheduler_steps(
            optimizer_steps=step - 1, num_processes=PROCESSES, split_batches=split_batches
        )
        for step in range(1, total + 1)
    ]
    expected = [learning_rate_at(schedule=planned, samples=steps * BATCH) for steps in taken]
    used = two_ranks["rates with split_batches" if split_batches else "rates"]
    assert used == pytest.approx(expected, rel=1e-12)
    assert (used == pytest.approx(lagging(planned, steps=total, lag=1))) is split_batches
    assert used.count(0.0) == (1 if split_batches else 1 + total // PROCESSES)


@pytest.mark.real
def test_a_dummy_schedule_divides_its_length_and_not_its_warmup(two_ranks):
    """DeepSpeed is given total / processes, rounded up, and the warmup undivided: it may be longer than the schedule.

    A warmup of 0, the default, is handed on as 1, which DeepSpeed takes for 2; total is whole with split_batches.
    Source: accelerate@1.15.0 accelerator.py:Accelerator._prepare_deepspeed; jzhang38/EasyContext#21 reports it.
    """
    rows = two_ranks["dummies"]
    assert {row["warmup_steps"] for row in rows} > {0}
    for row in rows:
        assert row["num_processes"] == PROCESSES
        lengths = {name: row[name] for name in ("total_steps", "warmup_steps", "split_batches")}
        total, warmup = accelerate_dummy_lengths(num_processes=PROCESSES, **lengths)
        assert (row["written"]["total_num_steps"], row["written"]["warmup_num_steps"]) == (total, warmup)
        assert row["built"] == [total, max(2, warmup)]


@pytest.mark.torch
@pytest.mark.usefixtures("fresh_accelerate")
@pytest.mark.parametrize("adjust_scheduler", [True, False])
def test_accumulation_is_not_compensated(adjust_scheduler):
    """A micro-batch that is not the last of its step leaves the schedule as it is, whatever adjust_scheduler says.

    True is the default and is lost on the way: to_kwargs hands on what differs from the default, and the state reads
    a missing entry as False. Had it arrived, only the schedule's count of calls would move, not its rate.
    Source: accelerate@1.15.0 scheduler.py:AcceleratedScheduler.step, state.py:GradientState.adjust_scheduler,
    utils/dataclasses.py:GradientAccumulationPlugin.
    """
    from accelerate.utils import GradientAccumulationPlugin

    plugin = GradientAccumulationPlugin(num_steps=2, adjust_scheduler=adjust_scheduler)
    accelerator, optimizer, inner, prepared = prepared_schedule(gradient_accumulation_plugin=plugin)
    assert accelerator.gradient_state.adjust_scheduler is False
    before = inner.state_dict()
    accelerator.gradient_state._set_sync_gradients(False)
    optimizer.step()
    prepared.step()
    assert inner.state_dict() == before
    accelerator.gradient_state._set_sync_gradients(True)
    optimizer.step()
    prepared.step()
    assert inner.state_dict() != before


@pytest.mark.torch
@pytest.mark.usefixtures("fresh_accelerate")
def test_a_schedule_may_be_kept_apart_from_the_optimizer():
    """With step_scheduler_with_optimizer=False every call is one step, accumulating or not.

    Source: accelerate@1.15.0 scheduler.py:AcceleratedScheduler.step.
    """
    accelerator, optimizer, inner, prepared = prepared_schedule(
        gradient_accumulation_steps=2, step_scheduler_with_optimizer=False
    )
    optimizer.step()
    accelerator.gradient_state._set_sync_gradients(False)
    before = inner.get_last_lr()
    prepared.step()
    assert inner.get_last_lr() != before


@pytest.mark.torch
@pytest.mark.usefixtures("fresh_accelerate")
def test_under_deepspeed_a_prepared_schedule_does_nothing():
    """Accelerate's wrapper for DeepSpeed never steps: the engine does.

    Source: accelerate@1.15.0 utils/deepspeed.py:DeepSpeedSchedulerWrapper.step.
    """
    from accelerate.utils import DeepSpeedSchedulerWrapper

    _, optimizer, inner, _ = prepared_schedule()
    before = inner.state_dict()
    DeepSpeedSchedulerWrapper(inner, optimizer).step()
    assert inner.state_dict() == before


def prepared_schedule(**options):
    """An Accelerator of one process, a prepared optimizer, and a schedule before and after it was prepared."""
    import torch
    from accelerate import Accelerator
    from transformers import get_linear_schedule_with_warmup

    accelerator = Accelerator(cpu=True, **options)
    parameter = torch.nn.Parameter(torch.zeros(1))
    optimizer = accelerator.prepare(torch.optim.SGD([parameter], lr=1.0))
    inner = get_linear_schedule_with_warmup(optimizer.optimizer, 2, 8)
    return accelerator, optimizer, inner, accelerator.prepare(inner)
