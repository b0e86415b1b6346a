"""A small encoder-decoder learns to write a docstring's first line from the rest of it.

    batchwright run recipes/summarizer/cpu-1x2.yaml

T5's layers; sizes, batch, lengths, learning rate and sample order come from the plan.
"""

import argparse
import re
import sysconfig
from collections import Counter
from importlib.util import find_spec
from pathlib import Path

import torch
from torch import nn
from torch.nn.functional import cross_entropy
from torch.utils.data import default_collate
from transformers import T5Config, T5ForConditionalGeneration

from launcher import runtime

DOCSTRING = re.compile(r':\n\s+[rR]?"""(.+?)"""', re.DOTALL)
WORD = re.compile(r"\w+|[^\w\s]")
PAD, END, UNKNOWN, IGNORED = 0, 1, 2, -100


def read_pairs(length, target, vocabulary):
    """Bodies and first lines of docstrings, as numbers; every twentieth for validation."""
    folders = [
        sysconfig.get_path("stdlib"),
        *(Path(find_spec(name).origin).parent for name in ("numpy", "torch")),
    ]
    texts = []
    for folder in map(Path, folders):
        files = [
            path for path in folder.rglob("*.py") if "site-packages" not in path.relative_to(folder).parts
        ]
        texts += [
            text for path in sorted(files) for text in DOCSTRING.findall(path.read_text(errors="ignore"))
        ]
    pairs = [text.strip().split("\n\n", 1) for text in dict.fromkeys(texts) if "\n\n" in text.strip()]
    pairs = [[WORD.findall(part.lower()) for part in pair] for pair in pairs]
    pairs = [(body, line) for line, body in pairs if 4 <= len(line) < target and len(body) >= 16]
    training = [pair for number, pair in enumerate(pairs) if number % 20]
    counts = Counter(word for pair in training for part in pair for word in part)
    numbers = {word: 3 + place for place, (word, _) in enumerate(counts.most_common(vocabulary - 3))}
    parts = (training, pairs[::20])
    return tuple([sample_of(*pair, numbers, length, target) for pair in part] for part in parts)


def sample_of(body, line, numbers, length, target):
    """Input and labels at their full lengths; unknown words and padding do not count."""
    inputs = [numbers.get(word, UNKNOWN) for word in body[:length]]
    labels = [*(numbers.get(word, IGNORED) for word in line), END]
    return {
        "inputs": torch.tensor(inputs + [PAD] * (length - len(inputs))),
        "labels": torch.tensor(labels + [IGNORED] * (target - len(labels))),
    }


class Summarizer(nn.Module):
    def __init__(self, plan):
        super().__init__()
        shape = plan.model
        config = T5Config(
            vocab_size=shape.vocab_size,
            d_model=shape.hidden_size,
            d_kv=shape.head_dim,
            d_ff=shape.intermediate_size,
            num_layers=shape.num_layers,
            num_heads=shape.num_attention_heads,
            dropout_rate=shape.dropout,
            pad_token_id=PAD,
            eos_token_id=END,
            decoder_start_token_id=PAD,
            use_cache=False,
            attn_implementation=plan.attention,
        )
        self.model = T5ForConditionalGeneration(config)

    def forward(self, inputs, labels):
        """Summed loss of each first line, in nats."""
        before = self.model.prepare_decoder_input_ids_from_labels(labels)
        found = self.model(input_ids=inputs, attention_mask=inputs != PAD, decoder_input_ids=before)
        losses = cross_entropy(found.logits.transpose(1, 2), labels, ignore_index=IGNORED, reduction="none")
        return losses.sum(1)


@torch.no_grad()
def validation_loss(model, samples):
    """Nats per word of first lines that are never trained on."""
    batches = [default_collate(samples[start : start + 64]) for start in range(0, len(samples), 64)]
    words = sum(int((batch["labels"] != IGNORED).sum()) for batch in batches)
    return float(sum(model(**batch).sum() for batch in batches)) / words


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--target-length", type=int, required=True)
    target = parser.parse_args().target_length
    plan = runtime.read_plan()
    torch.manual_seed(plan.seed)
    length = plan.batch.sequence_length - target  # the plan counts input and target
    training, validation = read_pairs(length, target, plan.model.vocab_size)
    torch.distributed.init_process_group(plan.layout.backend)
    model = nn.parallel.DistributedDataParallel(Summarizer(plan))
    rate = plan.learning_rate.peak_learning_rate
    optimizer = torch.optim.AdamW(model.parameters(), lr=rate, weight_decay=plan.optimizer.weight_decay)
    run = runtime.start(model)
    for step in run.steps(training):
        for micro in step:
            run.backward(model(**micro.batch), micro)
        run.apply(optimizer)
        if step.is_last or step.number % plan.evaluation["every_steps"] == 0:
            run.record(validation_loss=validation_loss(model.module, validation))
    torch.distributed.destroy_process_group()


if __name__ == "__main__":
    main()
