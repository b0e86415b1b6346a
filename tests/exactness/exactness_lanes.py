"""An LSTM that carries its state from step to step: the training script, and the same training by formula.

Started by the test; its argument is a JSON file as exactness_cases.launch writes it.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import torch

from launcher import runtime

LANES, EPOCH, EPOCHS, LENGTH, WIDTH = 12, 3, 2, 4, 8


def rows():
    """36 stretches of 4 time steps; three in a row are one lane."""
    source = torch.Generator().manual_seed(5)
    return torch.randn(LANES * EPOCH, LENGTH, WIDTH, generator=source)


class Model(torch.nn.Module):
    """Predicts the next time step; the summed loss of each sequence, and the state behind it."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(3)
        self.cells = torch.nn.LSTM(WIDTH, WIDTH, batch_first=True)

    def forward(self, batch, state):
        found, state = self.cells(batch, state)
        return (found[:, :-1] - batch[:, 1:]).square().sum((1, 2)), state


def optimizer_of(model, rate):
    return torch.optim.SGD(model.parameters(), lr=rate, momentum=0.9)


def train_reference(rates, *, forgets=False):
    """One lane after the other, each with a state of its own, or with none; parameters by name."""
    data, model = rows(), Model()
    optimizer = optimizer_of(model, 0.1)
    for number, rate in enumerate(rates):
        if forgets or number % EPOCH == 0:
            states = [None] * LANES
        for lane in range(LANES):
            losses, after = model(data[lane * EPOCH + number % EPOCH][None], states[lane])
            states[lane] = tuple(part.detach() for part in after)
            (losses.sum() / (LANES * LENGTH)).backward()
        optimizer.param_groups[0]["lr"] = rate
        optimizer.step()
        optimizer.zero_grad()
    return {name: value.detach() for name, value in model.named_parameters()}


def train(case):
    folder = Path(case["folder"])
    environ = {**os.environ, "LAUNCHER_PLAN": str(folder / "plan.json"), "BATCHWRIGHT_RUN": str(folder)}
    environ.pop("BATCHWRIGHT_PLAN_HASH", None)
    model = torch.nn.parallel.DistributedDataParallel(Model())
    optimizer = optimizer_of(model, 0.1)
    run = runtime.start(model, environ=environ)
    state, order = {}, []
    for step in run.steps(rows(), weight=len):
        order.append([])
        for micro in step:
            order[-1].append(micro.indices)
            losses, after = model(micro.batch, None if step.resets_state else state[micro.number])
            state[micro.number] = tuple(part.detach() for part in after)
            run.backward(losses, micro)
        run.apply(optimizer)
    (folder / f"order-{run.rank}.json").write_text(json.dumps(order))
    if run.rank == 0:
        found = {name.removeprefix("module."): value.detach() for name, value in model.named_parameters()}
        torch.save(found, folder / "trained.pt")


if __name__ == "__main__":
    torch.distributed.init_process_group("gloo")
    for each in json.loads(Path(sys.argv[1]).read_text()):
        train(each)
    torch.distributed.destroy_process_group()
