"""The weight that Hugging Face's Trainer gives to each token of a step, with a model whose gradient is that weight."""

import pytest

from launcher.planning.accumulation import loss_scale

pytestmark = [pytest.mark.torch, pytest.mark.usefixtures("fresh_accelerate")]

SEQUENCES = (1, 4, 3, 2)
"""Loss tokens of the micro-batches, one sequence each: no two alike."""
ACCUMULATION, WHOLE = len(SEQUENCES), sum(SEQUENCES)


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


def trainer_of(kind, *, folder, **changes):
    """A Trainer for one step of plain SGD at rate 1 over all micro-batches, unshuffled and unclipped."""
    from transformers import Trainer, TrainingArguments

    arguments = TrainingArguments(
        output_dir=str(folder),
        use_cpu=True,
        report_to=[],
        disable_tqdm=True,
        save_strategy="no",
        logging_strategy="no",
        dataloader_pin_memory=False,
        train_sampling_strategy="sequential",
        remove_unused_columns=False,
        per_device_train_batch_size=1,
        gradient_accumulation_steps=ACCUMULATION,
        max_steps=1,
        optim="sgd",
        learning_rate=1.0,
        lr_scheduler_type="constant",
        max_grad_norm=0.0,
    )
    starts = [sum(SEQUENCES[:place]) for place in range(len(SEQUENCES))]
    data = [
        {"input_ids": list(range(start, start + count)), "labels": list(range(count))}
        for start, count in zip(starts, SEQUENCES, strict=True)
    ]
    trainer = Trainer(model=model_of(kind), args=arguments, train_dataset=data)
    for name, value in changes.items():
        setattr(trainer, name, value)
    return trainer


def model_of(kind):
    """One parameter per token of the step; the loss is their mean, or their sum over the count it is given."""
    import torch

    class Table(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.table = torch.nn.Embedding(WHOLE, 1)
            torch.nn.init.zeros_(self.table.weight)

    class Plain(Table):
        def forward(self, input_ids, labels):
            return {"loss": self.table(input_ids).mean()}

    class Ignoring(Table):
        def forward(self, input_ids, labels, **kwargs):
            return {"loss": self.table(input_ids).mean()}

    class Dividing(Table):
        def forward(self, input_ids, labels, num_items_in_batch=None, **kwargs):
            return {"loss": self.table(input_ids).sum() / num_items_in_batch}

    return {"plain": Plain, "ignoring": Ignoring, "dividing": Dividing}[kind]()
