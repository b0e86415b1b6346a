"""A bag of words learns which package a docstring comes from, under torchrun, Accelerate or DeepSpeed alike.

    batchwright run recipes/classifier/cpu-1x2.yaml

Sizes, batch, learning rate and sample order come from the plan.
"""

import random
import re
import sysconfig
import zlib
from importlib.util import find_spec
from pathlib import Path

import torch
from torch import nn
from torch.nn.functional import cross_entropy
from torch.utils.data import TensorDataset

from launcher import runtime

PACKAGES = ("numpy", "matplotlib", "torch")  # and Python's own library
OF_EACH = 1500
DOCSTRING = re.compile(r':\n\s+[rR]?"""(.+?)"""', re.DOTALL)
WORD = re.compile(r"\w+")


def read_docstrings(length, vocabulary):
    """Rows of `length` words and their package; every fifth for validation."""
    folders = [
        Path(sysconfig.get_path("stdlib")),
        *(Path(find_spec(name).origin).parent for name in PACKAGES),
    ]
    rows, labels = [], []
    for label, folder in enumerate(folders):
        files = [
            path for path in folder.rglob("*.py") if "site-packages" not in path.relative_to(folder).parts
        ]
        texts = [
            text for path in sorted(files) for text in DOCSTRING.findall(path.read_text(errors="ignore"))
        ]
        texts = [text for text in dict.fromkeys(texts) if len(WORD.findall(text)) >= 8]
        rows += [words_of(text, length, vocabulary) for text in random.Random(0).sample(texts, OF_EACH)]
        labels += [label] * OF_EACH
    rows, labels = torch.tensor(rows), torch.tensor(labels)
    held_out = torch.arange(len(rows)) % 5 == 0
    return (rows[~held_out], labels[~held_out]), (rows[held_out], labels[held_out])


def words_of(text, length, vocabulary):
    """Each word by a hash, the same in every process; 0 fills the row up."""
    words = [word.lower().encode() for word in WORD.findall(text)[:length]]
    numbers = [1 + zlib.crc32(word) % (vocabulary - 1) for word in words]
    return numbers + [0] * (length - len(numbers))


class Classifier(nn.Module):
    def __init__(self, shape):
        super().__init__()
        self.words = nn.EmbeddingBag(shape.vocab_size, shape.hidden_size, mode="mean", padding_idx=0)
        self.head = nn.Linear(shape.hidden_size, shape.others["num_classes"])

    def forward(self, rows):
        return self.head(self.words(rows))


def wrap(model, optimizer, plan):
    """What each engine wants. Returns who carries the gradients, what to call, and what steps."""
    if plan.launch.engine == "deepspeed":
        import deepspeed

        config = str(runtime.run_folder() / "deepspeed.json")
        engine, optimizer, _, _ = deepspeed.initialize(model=model, optimizer=optimizer, config=config)
        return engine, engine, optimizer
    if plan.launch.engine == "accelerate":
        from accelerate import Accelerator

        accelerator = Accelerator()
        model, optimizer = accelerator.prepare(model, optimizer)
        return accelerator, model, optimizer
    torch.distributed.init_process_group(plan.layout.backend)
    model = nn.parallel.DistributedDataParallel(model)
    return model, model, optimizer


@torch.no_grad()
def validated(model, rows, labels):
    """Loss and accuracy on docstrings that are never trained on."""
    scores = model(rows)
    right = (scores.argmax(1) == labels).float().mean()
    return {"validation_loss": float(cross_entropy(scores, labels)), "validation_accuracy": float(right)}


def main():
    plan = runtime.read_plan()
    torch.manual_seed(plan.seed)
    training, validation = read_docstrings(plan.batch.sequence_length, plan.model.vocab_size)
    model = Classifier(plan.model)
    optimizer = torch.optim.Adam(model.parameters(), lr=plan.learning_rate.peak_learning_rate)
    carrier, model, optimizer = wrap(model, optimizer, plan)
    run = runtime.start(carrier)
    for step in run.steps(TensorDataset(*training)):
        for micro in step:
            rows, labels = micro.batch
            run.backward(cross_entropy(model(rows), labels, reduction="none"), micro)
        run.apply(optimizer)
        if step.is_last or step.number % plan.evaluation["every_steps"] == 0:
            run.record(**validated(model, *validation))
    if torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()


if __name__ == "__main__":
    main()
