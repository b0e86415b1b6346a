"""A real Trainer for one step, with a model whose gradient is the weight that every token of the step was given."""

__all__ = ["ACCUMULATION", "SEQUENCES", "WHOLE", "trainer_of"]

SEQUENCES = (1, 4, 3, 2)
"""Loss tokens of the micro-batches, one sequence each: no two alike."""
ACCUMULATION, WHOLE = len(SEQUENCES), sum(SEQUENCES)


def trainer_of(kind, *, folder, labels="labels", **changes):
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
        {"input_ids": list(range(start, start + count)), labels: list(range(count))}
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
        def forward(self, input_ids, labels=None, **kwargs):
            return {"loss": self.table(input_ids).mean()}

    class Dividing(Table):
        def forward(self, input_ids, labels, num_items_in_batch=None, **kwargs):
            return {"loss": self.table(input_ids).sum() / num_items_in_batch}

    return {"plain": Plain, "ignoring": Ignoring, "dividing": Dividing}[kind]()
