"""A small language model learns CPython's own help texts, under torchrun, Accelerate or DeepSpeed alike.

    batchwright run recipes/quickstart/cpu-1x2.yaml

Sizes, batch, learning rate, sample order and when to evaluate come from the plan.
"""

import argparse
from pathlib import Path
from pydoc_data.topics import topics

import torch
from torch import nn
from torch.nn.functional import cross_entropy, scaled_dot_product_attention

from launcher import runtime

PRINTABLE = 95  # space to tilde; token 0 is the line feed, everything else becomes a question mark


def read_texts(length):
    """The help texts, each paragraph once, in rows of `length` + 1 tokens; every twentieth for validation."""
    paragraphs = "\n\n".join(topics[name] for name in sorted(topics)).split("\n\n")
    text = "\n\n".join(dict.fromkeys(paragraphs))
    tokens = [0 if c == "\n" else ord(c) - 31 if " " <= c <= "~" else ord("?") - 31 for c in text]
    rows = len(tokens) // (length + 1)
    rows = torch.tensor(tokens[: rows * (length + 1)]).view(rows, length + 1)
    held_out = torch.arange(len(rows)) % 20 == 0
    return rows[~held_out], rows[held_out]


class Block(nn.Module):
    def __init__(self, width, heads, inner):
        super().__init__()
        self.heads = heads
        self.norm_1, self.norm_2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.mlp = nn.Sequential(nn.Linear(width, inner), nn.GELU(), nn.Linear(inner, width))

    def forward(self, x):
        split = self.qkv(self.norm_1(x)).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        attended = scaled_dot_product_attention(*split, is_causal=True)
        x = x + self.out(attended.transpose(1, 2).flatten(-2))
        return x + self.mlp(self.norm_2(x))


class LanguageModel(nn.Module):
    def __init__(self, shape, length):
        super().__init__()
        width, heads, inner = shape.hidden_size, shape.num_attention_heads, shape.intermediate_size
        self.tokens, self.places = nn.Embedding(shape.vocab_size, width), nn.Embedding(length, width)
        self.blocks = nn.Sequential(*(Block(width, heads, inner) for _ in range(shape.num_layers)))
        self.norm, self.head = nn.LayerNorm(width), nn.Linear(width, shape.vocab_size, bias=False)
        for module in (self.tokens, self.places, self.head):
            nn.init.normal_(module.weight, std=0.02)

    def forward(self, rows):
        """Summed loss of each row, in nats."""
        inputs, labels = rows[:, :-1], rows[:, 1:]
        x = self.tokens(inputs) + self.places(torch.arange(inputs.shape[1], device=rows.device))
        logits = self.head(self.norm(self.blocks(x)))
        return cross_entropy(logits.transpose(1, 2), labels, reduction="none").sum(1)


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
def validation_loss(model, rows):
    """Nats per token on rows that are never trained on; every rank calls it, as sharded models need."""
    total = sum(model(part).sum() for part in rows.split(32))
    return float(total) / (len(rows) * (rows.shape[1] - 1))


def save(carrier, model, optimizer, run):
    folder = run.folder / run.plan.checkpoint["directory"]
    folder.mkdir(exist_ok=True)
    if run.plan.launch.engine == "deepspeed":  # every rank writes its part
        carrier.save_checkpoint(str(folder), client_state={"run": run.state_dict()})
    elif run.rank == 0:
        state = {"model": model.state_dict(), "optimizer": optimizer.state_dict(), "run": run.state_dict()}
        torch.save(state, folder / f"{run.samples}.pt")


def reload(checkpoint, carrier, model, optimizer, run):
    """What `save` left; training goes on at the next sample."""
    if run.plan.launch.engine == "deepspeed":
        _, state = carrier.load_checkpoint(str(checkpoint.parent), tag=checkpoint.name)
    else:
        state = torch.load(checkpoint, map_location="cpu")
        model.load_state_dict(state["model"])
        optimizer.load_state_dict(state["optimizer"])
    run.load_state_dict(state["run"])


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--resume", type=Path)
    checkpoint = parser.parse_args().resume
    plan = runtime.read_plan()
    torch.manual_seed(plan.seed)
    training, validation = read_texts(plan.batch.sequence_length)
    model = LanguageModel(plan.model, plan.batch.sequence_length)
    optimizer = torch.optim.AdamW(
        model.parameters(),
        lr=plan.learning_rate.peak_learning_rate,
        betas=plan.optimizer.betas,
        weight_decay=plan.optimizer.weight_decay,
    )
    carrier, model, optimizer = wrap(model, optimizer, plan)
    run = runtime.start(carrier)
    if checkpoint:
        reload(checkpoint, carrier, model, optimizer, run)
    for step in run.steps(training, weight=lambda row: len(row) - 1):
        for micro in step:
            run.backward(model(micro.batch), micro)
        run.apply(optimizer)
        if step.is_last or step.number % plan.evaluation["every_steps"] == 0:
            run.record(validation_loss=validation_loss(model, validation))
        if step.is_last or step.number % plan.checkpoint["every_steps"] == 0:
            save(carrier, model, optimizer, run)
    if torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()  # or gloo's threads may outlive the interpreter


if __name__ == "__main__":
    main()
