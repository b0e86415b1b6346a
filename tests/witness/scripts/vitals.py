"""Trains for 60 steps; the first argument says what goes wrong, and from step 6 on."""

import math
import sys
from pathlib import Path

import torch
from torch.nn.functional import cross_entropy

what = sys.argv[1]
torch.manual_seed(0)
model = torch.nn.Linear(8, 5)
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
scaler = torch.amp.GradScaler("cpu") if what in ("overflow", "scaled jump") else None
Path("checkpoints").mkdir(exist_ok=True)
for step in range(1, 61):
    for _ in range(2):
        labels = torch.randint(5, (2,))
        if what == "unlabelled" and step % 7 == 6:
            labels.fill_(-100)
        loss = cross_entropy(model(torch.randn(2, 8)), labels)
        if what in ("nan", "save") and step > 5:
            loss = loss * math.nan
        if what in ("jump", "scaled jump") and step in (50, 51):
            loss = loss * 10
        if what == "overflow" and step > 5:
            loss = loss * math.inf
        (scaler.scale(loss) if scaler else loss).backward()
    if scaler:
        scaler.step(optimizer)
        scaler.update()
    else:
        optimizer.step()
    optimizer.zero_grad()
    if step <= 4 or what in ("save", "unlabelled"):
        torch.save(model.state_dict(), "checkpoints/model.pt")
        print("saved", step, flush=True)
print("end")
