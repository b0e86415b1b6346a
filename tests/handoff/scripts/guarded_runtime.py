"""The same with the runtime."""

import math
import sys
import time

import torch
from torch import nn

from launcher import runtime

what = sys.argv[1]
torch.distributed.init_process_group("gloo")
is_bad = torch.distributed.get_rank() == 1
steps = 0


class Rows:
    def __len__(self):
        return 40_000

    def __getitem__(self, index):
        while what == "loop" and is_bad and steps == 6:
            pass
        return torch.randn(16)


model = nn.parallel.DistributedDataParallel(nn.Linear(16, 16))
optimizer = torch.optim.SGD(model.parameters(), lr=0.001)
run = runtime.start(model)
folder = run.folder / run.plan.checkpoint["directory"]
folder.mkdir(exist_ok=True)
for step in run.steps(Rows()):
    for micro in step:
        time.sleep(0.02)
        losses = model(micro.batch).square().mean(1)
        if what in ("nan", "save") and is_bad and step.number > 5:
            losses = losses * math.nan
        run.backward(losses, micro)
    run.apply(optimizer)
    steps = step.number
    if run.rank == 0 and (steps == 4 or what == "save"):
        torch.save({"run": run.state_dict()}, folder / f"{steps}.pt")
