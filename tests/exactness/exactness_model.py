"""The smallest model, data and reference that can tell a wrong gradient: ragged lengths, loss tokens that differ."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn.functional import cross_entropy

VOCABULARY, WIDTH, SAMPLES = 32, 16, 30


def dataset():
    """Thirty sequences of 2 to 16 tokens; some of their labels are left out of the loss."""
    source = torch.Generator().manual_seed(7)
    rows = []
    for _ in range(SAMPLES):
        length = int(torch.randint(2, 17, (1,), generator=source))
        tokens = torch.randint(0, VOCABULARY, (length + 1,), generator=source)
        labels = tokens[1:].clone()
        labels[torch.rand(length, generator=source) < 0.2] = -100
        labels[-1] = tokens[-1]  # at least one
        rows.append({"tokens": tokens[:-1], "labels": labels})
    return rows


def stream_of_tokens(length):
    """480 tokens cut into rows of a length; every label is the token behind it, some are left out of the loss."""
    source = torch.Generator().manual_seed(9)
    tokens = torch.randint(0, VOCABULARY, (481,), generator=source)
    labels = tokens[1:].clone()
    labels[torch.rand(480, generator=source) < 0.2] = -100
    rows = zip(tokens[:-1].view(-1, length), labels.view(-1, length), strict=True)
    return [{"tokens": row, "labels": targets} for row, targets in rows]


def collate(samples):
    """Right-padded; padding carries no label."""
    pad = nn.utils.rnn.pad_sequence
    return {
        "tokens": pad([sample["tokens"] for sample in samples], batch_first=True),
        "labels": pad([sample["labels"] for sample in samples], batch_first=True, padding_value=-100),
    }


class Model(nn.Module):
    """Each token sees itself and the mean of those before it; no sequence sees another."""

    def __init__(self):
        super().__init__()
        self.tokens = nn.Embedding(VOCABULARY, WIDTH)
        self.hidden = nn.Linear(2 * WIDTH, 2 * WIDTH)
        self.norm = nn.LayerNorm(2 * WIDTH)
        self.head = nn.Linear(2 * WIDTH, VOCABULARY)

    def forward(self, batch):
        """Summed loss of each sequence."""
        x = self.tokens(batch["tokens"])
        seen = torch.arange(1, x.shape[1] + 1, device=x.device).view(1, -1, 1)
        x = torch.cat([x, x.cumsum(1) / seen], dim=-1)
        logits = self.head(self.norm(torch.tanh(self.hidden(x))))
        return cross_entropy(logits.transpose(1, 2), batch["labels"], reduction="none").sum(1)


def build_model():
    torch.manual_seed(3)
    return Model()


def build_optimizer(name, parameters, learning_rate):
    if name == "sgd":
        return torch.optim.SGD(parameters, lr=learning_rate, momentum=0.9, weight_decay=0.01)
    return torch.optim.AdamW(parameters, lr=learning_rate, weight_decay=0.01)
