"""Trains without the runtime until it is ended; the first argument says what goes wrong on rank 1."""

import math
import sys
import time

import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset, DistributedSampler

what = sys.argv[1]
torch.distributed.init_process_group("gloo")
is_bad = torch.distributed.get_rank() == 1
steps = 0


class Rows(Dataset):
    def __len__(self):
        return 40_000

    def __getitem__(self, index):
        while what == "loop" and is_bad and steps == 6:
            pass
        if what == "slow" and is_bad and steps > 150:
            time.sleep(0.05)
        return torch.randn(16)


model = nn.parallel.DistributedDataParallel(nn.Linear(16, 16))
optimizer = torch.optim.SGD(model.parameters(), lr=0.001)
for number, batch in enumerate(DataLoader(Rows(), batch_size=2, sampler=DistributedSampler(Rows())), start=1):
    time.sleep(0.02)
    loss = model(batch).square().mean() / 2
    if what == "nan" and is_bad and steps >= 5:
        loss = loss * math.nan
    loss.backward()
    if number % 2 == 0:
        optimizer.step()
        optimizer.zero_grad()
        steps += 1
        if steps == 1:
            print("first step", flush=True)
