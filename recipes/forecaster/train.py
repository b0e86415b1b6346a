"""An LSTM forecasts the next value of a recorded membrane potential, from matplotlib's sample data.

    batchwright run recipes/forecaster/cpu-1x2.yaml

What is forecast is the change to the next value, and its validation loss is the squared error over that of "no
change", which has 1. Sizes, batch, learning rate and sample order come from the plan.
"""

from pathlib import Path

import matplotlib as mpl
import numpy as np
import torch
from torch import nn

from launcher import runtime

STRIDE = 16  # training windows overlap


def read_windows(length):
    """Windows of features and targets, [windows, length, 2 + 1]; the last fifth of the record is for validation."""
    path = Path(mpl.get_data_path(), "sample_data", "membrane.dat")
    values = torch.from_numpy(np.fromfile(path, np.float32))
    change = values.diff()
    trained = len(change) * 4 // 5
    value = (values - values[:trained].mean()) / values[:trained].std()
    change = change / change[:trained].square().mean().sqrt()
    rows = torch.stack((value[1:-1], change[:-1], change[1:]), 1)  # what is known, and the next change
    training, validation = rows[:trained], rows[trained:]
    return (part.unfold(0, length, step).mT for part, step in ((training, STRIDE), (validation, length)))


class Forecaster(nn.Module):
    def __init__(self, shape):
        super().__init__()
        features, width = shape.others["input_size"], shape.hidden_size
        self.layers = nn.LSTM(features, width, num_layers=shape.num_layers or 1, batch_first=True)
        self.head = nn.Linear(width, shape.others["output_size"])

    def forward(self, windows):
        """Summed squared error of each window."""
        states, _ = self.layers(windows[..., :-1])
        return (self.head(states) - windows[..., -1:]).square().sum((1, 2))


@torch.no_grad()
def validation_loss(model, windows):
    """Squared error over that of "no change", on the part of the record that is never trained on."""
    return float(model(windows).sum() / windows[..., -1].square().sum())


def main():
    plan = runtime.read_plan()
    torch.manual_seed(plan.seed)
    training, validation = read_windows(plan.batch.sequence_length)
    torch.distributed.init_process_group(plan.layout.backend)
    model = nn.parallel.DistributedDataParallel(Forecaster(plan.model))
    optimizer = torch.optim.Adam(model.parameters(), lr=plan.learning_rate.peak_learning_rate)
    run = runtime.start(model)
    for step in run.steps(training, weight=len):
        for micro in step:
            run.backward(model(micro.batch), micro)
        run.apply(optimizer)
        if step.is_last or step.number % plan.evaluation["every_steps"] == 0:
            run.record(validation_loss=validation_loss(model.module, validation))
    torch.distributed.destroy_process_group()


if __name__ == "__main__":
    main()
