"""A character RNN learns CPython's own help texts.

    batchwright run recipes/char-rnn/cpu-1x2-hidden-1024.yaml

Width, batch, learning rate and sample order come from the plan.
"""

from pydoc_data.topics import topics

import torch
from torch import nn
from torch.nn.functional import cross_entropy

from launcher import runtime


def read_texts(length):
    """The help texts, each paragraph once, in rows of `length` + 1 characters; every twentieth for validation."""
    paragraphs = "\n\n".join(topics[name] for name in sorted(topics)).split("\n\n")
    text = "\n\n".join(dict.fromkeys(paragraphs))
    # line feed is 0, space to tilde are 1 to 95, everything else is a question mark
    tokens = [0 if c == "\n" else ord(c) - 31 if " " <= c <= "~" else ord("?") - 31 for c in text]
    rows = torch.tensor(tokens[: len(tokens) // (length + 1) * (length + 1)]).view(-1, length + 1)
    held_out = torch.arange(len(rows)) % 20 == 0
    return rows[~held_out], rows[held_out]


class CharacterModel(nn.Module):
    def __init__(self, shape):
        super().__init__()
        width = shape.hidden_size
        self.characters = nn.Embedding(shape.vocab_size, width)
        self.layers = nn.RNN(width, width, num_layers=shape.num_layers, batch_first=True)
        self.head = nn.Linear(width, shape.vocab_size)

    def forward(self, rows):
        """Summed loss of each row, in nats."""
        states, _ = self.layers(self.characters(rows[:, :-1]))
        return cross_entropy(self.head(states).transpose(1, 2), rows[:, 1:], reduction="none").sum(1)


@torch.no_grad()
def validation_loss(model, rows):
    """Nats per character on rows that are never trained on."""
    return float(sum(model(part).sum() for part in rows.split(64))) / (len(rows) * (rows.shape[1] - 1))


def main():
    plan = runtime.read_plan()
    torch.manual_seed(plan.seed)
    training, validation = read_texts(plan.batch.sequence_length)
    torch.distributed.init_process_group(plan.layout.backend)
    model = nn.parallel.DistributedDataParallel(CharacterModel(plan.model))
    rate = plan.learning_rate.peak_learning_rate
    optimizer = torch.optim.AdamW(model.parameters(), lr=rate, weight_decay=plan.optimizer.weight_decay)
    run = runtime.start(model)
    for step in run.steps(training, weight=lambda row: len(row) - 1):
        for micro in step:
            run.backward(model(micro.batch), micro)
        run.apply(optimizer)
        if step.is_last or step.number % plan.evaluation["every_steps"] == 0:
            run.record(validation_loss=validation_loss(model.module, validation))
    torch.distributed.destroy_process_group()


if __name__ == "__main__":
    main()
