"""A small mixture of experts learns the docstrings of Python's own library, character by character.

    batchwright run recipes/small-moe/cpu-1x2-26x128.yaml

Mixtral's layers; sizes, batch, length, learning rate and sample order come from the plan.
"""

import re
import sysconfig
from pathlib import Path

import torch
from torch import nn
from torch.nn.functional import cross_entropy
from transformers import MixtralConfig, MixtralForCausalLM

from launcher import runtime

DOCSTRING = re.compile(r':\n\s+[rR]?"""(.+?)"""', re.DOTALL)


def read_texts(length):
    """Docstrings as rows of `length` + 1 characters; every twentieth docstring is for validation, at any length."""
    library = Path(sysconfig.get_path("stdlib"))
    files = [path for path in library.rglob("*.py") if "site-packages" not in path.parts]
    texts = [text for path in sorted(files) for text in DOCSTRING.findall(path.read_text(errors="ignore"))]
    texts = list(dict.fromkeys(texts))
    training = [text for number, text in enumerate(texts) if number % 20]
    return rows_of(training, length), rows_of(texts[::20], length)


def rows_of(texts, length):
    """Line feed is 0, space to tilde are 1 to 95, everything else is a question mark."""
    text = "\n\n".join(texts)
    tokens = [0 if c == "\n" else ord(c) - 31 if " " <= c <= "~" else ord("?") - 31 for c in text]
    return torch.tensor(tokens[: len(tokens) // (length + 1) * (length + 1)]).view(-1, length + 1)


class LanguageModel(nn.Module):
    def __init__(self, plan):
        super().__init__()
        shape = plan.model
        config = MixtralConfig(
            vocab_size=shape.vocab_size,
            hidden_size=shape.hidden_size,
            intermediate_size=shape.others["moe_intermediate_size"],
            num_hidden_layers=shape.num_layers,
            num_attention_heads=shape.num_attention_heads,
            num_key_value_heads=shape.num_key_value_heads,
            num_local_experts=shape.others["num_experts"],
            num_experts_per_tok=shape.others["num_experts_per_token"],
            max_position_embeddings=plan.batch.sequence_length,
            tie_word_embeddings=False,
            use_cache=False,
            attn_implementation=plan.attention,
        )
        self.decoder = MixtralForCausalLM(config)
        self.half = plan.precision.compute == "bf16"

    def forward(self, rows):
        """Summed loss of each row, in nats."""
        inputs, labels = rows[:, :-1], rows[:, 1:]
        with torch.autocast(rows.device.type, dtype=torch.bfloat16, enabled=self.half):
            logits = self.decoder(input_ids=inputs).logits
        return cross_entropy(logits.float().transpose(1, 2), labels, reduction="none").sum(1)


@torch.no_grad()
def validation_loss(model, rows):
    """Nats per character on docstrings that are never trained on, 32,768 characters of them."""
    rows = rows[: 32768 // (rows.shape[1] - 1)]
    parts = rows.split(4096 // (rows.shape[1] - 1))
    return float(sum(model(part).sum() for part in parts)) / (len(rows) * (rows.shape[1] - 1))


def main():
    plan = runtime.read_plan()
    torch.manual_seed(plan.seed)
    device = plan.layout.device_kind  # cpu, or cuda where one process has one GPU
    training, validation = (rows.to(device) for rows in read_texts(plan.batch.sequence_length))
    torch.distributed.init_process_group(plan.layout.backend)
    model = nn.parallel.DistributedDataParallel(LanguageModel(plan).to(device))
    optimizer = torch.optim.AdamW(
        model.parameters(),
        lr=plan.learning_rate.peak_learning_rate,
        betas=plan.optimizer.betas,
        weight_decay=plan.optimizer.weight_decay,
    )
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
