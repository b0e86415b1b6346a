"""Trains a line under any engine for 260 steps; a batch jumps at step 150, and validation gets worse from step 160 on."""

import argparse

import torch

from launcher import runtime

parser = argparse.ArgumentParser()
parser.add_argument("--local_rank")  # DeepSpeed's launcher passes it
parser.parse_args()
plan = runtime.read_plan()
torch.manual_seed(0)
model = torch.nn.Linear(4, 1)
optimizer = torch.optim.SGD(model.parameters(), lr=plan.learning_rate.peak_learning_rate)
if plan.launch.engine == "deepspeed":
    import deepspeed

    config = str(runtime.run_folder() / "deepspeed.json")
    carrier, *_ = deepspeed.initialize(model=model, optimizer=optimizer, config=config)
    model = carrier
elif plan.launch.engine == "accelerate":
    from accelerate import Accelerator

    carrier = Accelerator()
    model, optimizer = carrier.prepare(model, optimizer)
else:
    torch.distributed.init_process_group("gloo")
    carrier = model = torch.nn.parallel.DistributedDataParallel(model)
run = runtime.start(carrier)
samples = torch.randn(5000, 4, generator=torch.Generator().manual_seed(1))
for step in run.steps(samples):
    for micro in step:
        loss = (model(micro.batch).squeeze(1) - 1).square() * 0.01 + 1
        if step.number in {150, 151}:
            loss = loss * 2
        run.backward(loss, micro)
    run.apply(optimizer)
    if step.number % 20 == 0:
        run.record(validation_loss=1.1 + max(0, step.number - 160) / 100, validation_accuracy=0.5)
if torch.distributed.is_initialized():
    torch.distributed.destroy_process_group()
