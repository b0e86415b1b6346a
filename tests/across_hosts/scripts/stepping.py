"""Small steps for ever, by launcher.runtime; `nan:N` makes the loss of step N and later not a number."""

import sys
import time

import torch

from launcher import runtime

torch.manual_seed(0)
torch.distributed.init_process_group("gloo")
model = torch.nn.parallel.DistributedDataParallel(torch.nn.Linear(4, 1))
optimizer = torch.optim.SGD(model.parameters(), lr=runtime.read_plan().learning_rate.peak_learning_rate)
broken_from = next((int(word.partition(":")[2]) for word in sys.argv if word.startswith("nan:")), None)
run = runtime.start(model)
rows = torch.randn(4000, 4)
for step in run.steps(rows, weight=lambda row: 16):
    for micro in step:
        losses = model(micro.batch).square().squeeze(1)
        if broken_from is not None and step.number >= broken_from:
            losses = losses * float("nan")
        run.backward(losses, micro)
    run.apply(optimizer)
    time.sleep(0.05)
