"""A plain DDP script that knows nothing of us; rank 1 alone works on long rows, so that it alone needs memory."""

import argparse
import os

import torch
from sizes import rows_of
from torch import nn

parser = argparse.ArgumentParser()
parser.add_argument("--micro", type=int)
parser.add_argument("--accumulation", type=int)
parser.add_argument("--steps", type=int, default=50)
parser.add_argument("--fail-at", type=int, default=0)
options = parser.parse_args()

torch.distributed.init_process_group("gloo")
rank = int(os.environ["RANK"])
torch.manual_seed(0)
model = nn.parallel.DistributedDataParallel(nn.Sequential(nn.Linear(64, 64), nn.GELU(), nn.Linear(64, 8)))
optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
for step in range(1, options.steps + 1):
    if step == options.fail_at and rank == 1:
        raise ValueError("the data ran dry")
    for _ in range(options.accumulation):
        model(torch.randn(options.micro, rows_of(rank), 64)).square().mean().backward()
    optimizer.step()
    optimizer.zero_grad()
    print(f"step {step}", flush=True)
torch.distributed.destroy_process_group()
