"""Ranks that hold the same sequences, as Hugging Face's Trainer counts them: its global batch, its tokens, its loss."""

from dataclasses import replace

import pytest
from trainers import SEQUENCES, WHOLE, trainer_of

from launcher.planning.accumulation import loss_scale
from launcher.planning.batch import data_parallel_size
from launcher.testing.plans import sample_plans

pytestmark = [pytest.mark.torch, pytest.mark.usefixtures("fresh_accelerate")]

WORLD = 16
AXES = [{}, {"tp_size": 2}, {"cp_size": 4}, {"sp_size": 2}, {"tp_size": 4, "cp_size": 2}, {"tp_size": 16}]


@pytest.fixture
def of_many(tmp_path, monkeypatch):
    """A real Trainer whose shared state says WORLD processes, cut by Accelerate's own ParallelismConfig."""

    def make(axes):
        from accelerate import ParallelismConfig
        from accelerate.state import PartialState

        trainer = trainer_of("dividing", folder=tmp_path)
        monkeypatch.setitem(PartialState._shared_state, "num_processes", WORLD)
        monkeypatch.setitem(trainer.accelerator.state.__dict__, "num_processes", WORLD)
        monkeypatch.setitem(
            trainer.accelerator.state.__dict__,
            "parallelism_config",
            ParallelismConfig(**axes) if axes else None,
        )
        return trainer

    return make


def planned_ranks(axes):
    """Ranks with different sequences in the plan of the same world; context is what Trainer calls cp or sp."""
    layout = replace(
        sample_plans()["cpu-1x2"].layout,
        world_size=WORLD,
        tensor_parallel_size=axes.get("tp_size", 1),
        context_parallel_size=axes.get("cp_size", 1) * axes.get("sp_size", 1),
    )
    return data_parallel_size(layout)


@pytest.mark.parametrize("axes", AXES, ids=str)
def test_the_global_batch_is_the_plans(of_many, axes):
    """Micro x accumulation x world / (tp x cp x sp), the identity of the plan.

    Source: transformers@5.23.0 trainer.py:Trainer.get_total_train_batch_size.
    """
    trainer = of_many(axes)
    micro, accumulation = trainer.args.per_device_train_batch_size, trainer.args.gradient_accumulation_steps
    assert trainer.get_total_train_batch_size(trainer.args) == micro * accumulation * planned_ranks(axes)


@pytest.mark.parametrize("axes", AXES, ids=str)
def test_tokens_are_counted_once(of_many, axes):
    """Every rank counts the sequences it was dealt; the sum over ranks is divided by tp x cp x sp.

    Source: transformers@5.23.0 trainer.py:Trainer._get_num_items_in_batch.
    """
    import torch

    trainer = of_many(axes)
    # one process: what the others would add is missing from the sum
    batches = [{"labels": torch.zeros(1, count, dtype=torch.long)} for count in SEQUENCES]
    counted = float(trainer._get_num_items_in_batch(batches, torch.device("cpu")))
    assert counted * WORLD == pytest.approx(WHOLE * planned_ranks(axes))


@pytest.mark.parametrize("axes", [{}, {"tp_size": 2}, {"tp_size": 16}], ids=str)
def test_the_loss_undoes_the_mean_over_ranks(of_many, axes):
    """The summed loss is multiplied by R / W, the plan's factor: processes over tp stands for R.

    Source: transformers@5.23.0 trainer.py:Trainer.compute_loss.
    """
    import torch

    trainer = of_many(axes)
    torch.nn.init.ones_(trainer.model.table.weight)
    inputs = {"input_ids": torch.arange(3), "labels": torch.arange(3)}
    total = 160
    loss = trainer.compute_loss(trainer.model, inputs, num_items_in_batch=total)
    wanted = loss_scale(
        reducer="ddp",
        data_parallel_size=planned_ranks(axes),
        gradient_accumulation_steps=1,
        total_weight=total,
    )
    assert float(loss.detach()) == pytest.approx(len(inputs["labels"]) * wanted)
