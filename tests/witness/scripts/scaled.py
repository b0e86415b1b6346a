"""A gradient scaler that leaves steps out, as every fp16 training does at first, around a compiled model."""

import torch
from torch.distributed import HashStore, destroy_process_group, init_process_group
from torch.nn.parallel import DistributedDataParallel
from torch.utils.data import DataLoader, TensorDataset

init_process_group("gloo", store=HashStore(), rank=0, world_size=1)
model = torch.compile(DistributedDataParallel(torch.nn.Linear(4, 1)), backend="eager")
optimizer = torch.optim.SGD(model.parameters(), lr=1e-3)
scaler = torch.amp.GradScaler("cpu", init_scale=4.0)
skipped = 0
for number, (batch,) in enumerate(DataLoader(TensorDataset(torch.ones(64, 4)), batch_size=4)):
    loss = model(batch).sum()
    attempt = number // 2
    optimizer.param_groups[0]["lr"] = 1e-3 * (attempt + 1) / 16
    scaler.scale(loss * float("inf") if attempt in {0, 2, 4} else loss).backward()
    if number % 2:
        scaler.step(optimizer)
        scale = scaler.get_scale()
        scaler.update()
        skipped += scaler.get_scale() < scale
        optimizer.zero_grad()
print(f"skipped {skipped} of {attempt + 1}")
destroy_process_group()
