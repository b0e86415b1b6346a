"""The weight that Hugging Face's Trainer gives to each token of a step, with a model whose gradient is that weight."""

import pytest
from trainers import ACCUMULATION, SEQUENCES, WHOLE, trainer_of

from launcher.planning.accumulation import loss_scale

pytestmark = [pytest.mark.torch, pytest.mark.usefixtures("fresh_accelerate")]


@pytest.fixture
def weights(tmp_path):
    """Runs one optimizer step of a real Trainer; gives each token's weight, one list per micro-batch."""

    def run(kind, **changes):
        trainer = trainer_of(kind, folder=tmp_path, **changes)
        trainer.train()
        found = iter((-trainer.model.table.weight.detach().flatten()).tolist())
        return [[next(found) for _ in range(count)] for count in SEQUENCES]

    return run


def test_a_model_that_divides_by_the_count_weighs_tokens_alike(weights):
    """With num_items_in_batch used, every token counts 1 / W over all accumulated micro-batches, as in the plan.

    Source: huggingface/transformers#34191; transformers@5.23.0 trainer.py:Trainer._get_num_items_in_batch.
    """
    wanted = loss_scale(
        reducer="ddp",
        data_parallel_size=1,
        gradient_accumulation_steps=ACCUMULATION,
        total_weight=WHOLE,
    )
    for micro in weights("dividing"):
        assert micro == pytest.approx([wanted] * len(micro))


def test_a_model_without_keyword_arguments_gets_the_mean_of_means(weights):
    """Without **kwargs in forward, each micro-batch's mean counts 1 / G: short sequences weigh more, in silence.

    Source: transformers@5.23.0 trainer.py:Trainer.__init__ (model_accepts_loss_kwargs), training_step.
    """
    for count, micro in zip(SEQUENCES, weights("plain"), strict=True):
        assert micro == pytest.approx([1 / (ACCUMULATION * count)] * count)


def test_a_model_that_ignores_the_count_is_summed(weights):
    """A forward that takes **kwargs and ignores the count is not divided by G: the gradient is G times too large.

    Source: huggingface/transformers#45305, open when read; the cure is Trainer.loss_is_scaled_for_ga.
    """
    plain, ignoring = weights("plain"), weights("ignoring")
    told = weights("ignoring", loss_is_scaled_for_ga=False)
    for divided, summed, cured in zip(plain, ignoring, told, strict=True):
        assert summed == pytest.approx([ACCUMULATION * weight for weight in divided])
        assert cured == pytest.approx(divided)


@pytest.mark.parametrize("labels", [None, "not a tensor", [1, 2, 3]])
def test_labels_that_cannot_be_counted_are_not(tmp_path, labels):
    """Without labels in the batch, or with labels that are no tensors, there is no count and no word about it.

    Source: transformers@5.23.0 trainer.py:Trainer._get_num_items_in_batch.
    """
    import torch

    trainer = trainer_of("dividing", folder=tmp_path)
    batch = {"input_ids": torch.arange(3)} if labels is None else {"labels": labels}
    assert trainer._get_num_items_in_batch([batch], torch.device("cpu")) is None


def test_a_step_without_labels_gets_the_mean_of_means(weights):
    """Targets under another name: the same model that was summed is divided by G, each micro-batch's mean alike."""
    assert weights("ignoring", labels="targets") == weights("plain")


def test_the_first_label_of_a_causal_model_is_not_counted(tmp_path):
    """Models that shift labels are counted over labels[..., 1:], others over all of them.

    Source: transformers@5.23.0 trainer.py:Trainer._get_num_items_in_batch.
    """
    import torch

    trainer = trainer_of("dividing", folder=tmp_path)
    labels = torch.tensor([[5, 5, 5, -100], [5, 5, -100, -100]])
    counts = []
    for shifts in (False, True):
        trainer._loss_shifts_labels = shifts
        counts.append(int(trainer._get_num_items_in_batch([{"labels": labels}], torch.device("cpu"))))
    assert counts == [int(labels.ne(-100).sum()), int(labels[..., 1:].ne(-100).sum())]


def test_a_trainer_counts_over_ranks_and_keeps_its_schedule(tmp_path):
    """average_tokens_across_devices is on, and the schedule is not handed to Accelerate, which would step it per rank.

    Source: huggingface/transformers#34242, #24088.
    """
    from accelerate.scheduler import AcceleratedScheduler

    trainer = trainer_of("dividing", folder=tmp_path)
    assert trainer.args.average_tokens_across_devices
    trainer.train()
    assert not isinstance(trainer.lr_scheduler, AcceleratedScheduler)
