"""Multiplies the planned peak by the number of processes, as many examples do. Argument: how the model is wrapped."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import torch

from launcher import runtime

peak = json.loads(Path(os.environ["LAUNCHER_PLAN"]).read_text())["learning_rate"]["peak_learning_rate"]
model = torch.nn.Linear(1, 1)
if sys.argv[1] == "ddp":
    torch.distributed.init_process_group("gloo")
    optimizer = torch.optim.SGD(model.parameters(), lr=peak * torch.distributed.get_world_size())
    carrier = model = torch.nn.parallel.DistributedDataParallel(model)
else:
    from accelerate import Accelerator

    carrier = Accelerator()
    optimizer = torch.optim.SGD(model.parameters(), lr=peak * carrier.num_processes)
    model, optimizer = carrier.prepare(model, optimizer)
run = runtime.start(carrier)
for step in run.steps(torch.arange(30.0).view(30, 1)):
    for micro in step:
        run.backward((model(micro.batch) - 1).square().squeeze(1), micro)
    run.apply(optimizer)
    print("trained", flush=True)
