"""Training in the manner of nanoGPT: constants at the top, `--key=value` overrides, own batches, own learning rate."""

import math
import os
import sys

import torch
from torch import nn
from torch.distributed import barrier, destroy_process_group, init_process_group
from torch.nn.parallel import DistributedDataParallel

batch_size = 2  # micro-batch
gradient_accumulation_steps = 2 * 2  # over all ranks
block_size = 16
learning_rate = 1e-3
min_lr = 1e-4
warmup_iters = 4
lr_decay_iters = 100
max_iters = 6
for argument in sys.argv[1:]:
    key, value = argument.removeprefix("--").split("=")
    globals()[key] = type(globals()[key])(value)

init_process_group(backend="gloo")
rank, world_size = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
assert gradient_accumulation_steps % world_size == 0
gradient_accumulation_steps //= world_size
torch.manual_seed(1337 + rank)
data = torch.arange(4096) % 61


def get_batch() -> tuple[torch.Tensor, torch.Tensor]:
    ix = torch.randint(len(data) - block_size, (batch_size,))
    x = torch.stack([data[i : i + block_size] for i in ix])
    y = torch.stack([data[i + 1 : i + 1 + block_size] for i in ix])
    return x, y


# Source: karpathy/nanoGPT@3adf61e train.py:get_lr
def get_lr(it: int) -> float:
    if it < warmup_iters:
        return learning_rate * (it + 1) / (warmup_iters + 1)
    if it > lr_decay_iters:
        return min_lr
    decay_ratio = (it - warmup_iters) / (lr_decay_iters - warmup_iters)
    return min_lr + 0.5 * (1.0 + math.cos(math.pi * decay_ratio)) * (learning_rate - min_lr)


class Model(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embedding, self.head = nn.Embedding(61, 32), nn.Linear(32, 61)

    def forward(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return nn.functional.cross_entropy(self.head(self.embedding(x)).flatten(0, 1), y.flatten())


model = DistributedDataParallel(Model())
optimizer = torch.optim.AdamW(model.parameters(), lr=learning_rate)
x, y = get_batch()
for iteration in range(max_iters):
    lr = get_lr(iteration)
    for group in optimizer.param_groups:
        group["lr"] = lr
    for micro_step in range(gradient_accumulation_steps):
        model.require_backward_grad_sync = micro_step == gradient_accumulation_steps - 1
        loss = model(x, y) / gradient_accumulation_steps
        x, y = get_batch()
        loss.backward()
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)
    if rank == 0:
        print(f"iter {iteration}: loss {loss.item() * gradient_accumulation_steps:.4f}", flush=True)
barrier()  # gloo (torch 2.13) now and then aborts a process that leaves while the other is still at work
destroy_process_group()
