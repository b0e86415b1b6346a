"""Starts the runtime in one of the ways a job can be wrong. Arguments: how the model is wrapped, what goes wrong."""

from __future__ import annotations

import os
import sys
import time

import torch

from launcher import runtime

wrapping, trouble = sys.argv[1:]
rank = int(os.environ.get("RANK", "0"))
environ = dict(os.environ)
if trouble == "stale-plan" and rank == 1:
    environ["LAUNCHER_PLAN"] = environ["STALE_PLAN"]
model = torch.nn.Linear(4, 4)
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
if wrapping == "ddp":
    torch.distributed.init_process_group("gloo")
    carrier = torch.nn.parallel.DistributedDataParallel(model)
else:
    from accelerate import Accelerator

    carrier = Accelerator()
    model, optimizer = carrier.prepare(model, optimizer)
if trouble == "absent" and rank == 1:
    time.sleep(60)
print(f"meets at {time.time()}", flush=True)
runtime.start(carrier, environ=environ)
print("trains", flush=True)
