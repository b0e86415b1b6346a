"""A small network estimates how far diabetes has progressed, under torchrun, Accelerate or DeepSpeed alike.

    batchwright run recipes/regression/cpu-1x2-batch-8.yaml

Needs scikit-learn for its data. Sizes, batch, learning rate and sample order come from the plan.
"""

import torch
from sklearn.datasets import load_diabetes
from torch import nn
from torch.utils.data import TensorDataset

from launcher import runtime


def read_patients():
    """Features and target in standard deviations, of 353 patients and of 89 for validation (every fifth)."""
    features, target = (torch.tensor(part, dtype=torch.float32) for part in load_diabetes(return_X_y=True))
    held_out = torch.arange(len(target)) % 5 == 0
    parts = []
    for values in (features, target[:, None]):
        known = values[~held_out]
        scaled = (values - known.mean(0)) / known.std(0)
        parts.append((scaled[~held_out], scaled[held_out]))
    return tuple(zip(*parts, strict=True))


class Regression(nn.Sequential):
    def __init__(self, shape):
        width = shape.hidden_size
        super().__init__(nn.Linear(shape.others["input_size"], width), nn.ReLU(), nn.Linear(width, 1))


def wrap(model, optimizer, plan):
    """What each engine wants. Returns who carries the gradients, what to call, and what steps."""
    if plan.launch.engine == "deepspeed":
        import deepspeed

        config = str(runtime.run_folder() / "deepspeed.json")
        engine, optimizer, _, _ = deepspeed.initialize(model=model, optimizer=optimizer, config=config)
        return engine, engine, optimizer
    if plan.launch.engine == "accelerate":
        from accelerate import Accelerator

        accelerator = Accelerator()
        model, optimizer = accelerator.prepare(model, optimizer)
        return accelerator, model, optimizer
    torch.distributed.init_process_group(plan.layout.backend)
    model = nn.parallel.DistributedDataParallel(model)
    return model, model, optimizer


@torch.no_grad()
def validation_loss(model, features, target):
    """Mean squared error; 1 is what the mean of the target would get."""
    return float((model(features) - target).square().mean())


def main():
    plan = runtime.read_plan()
    torch.manual_seed(plan.seed)
    training, validation = read_patients()
    model = Regression(plan.model)
    optimizer = torch.optim.Adam(model.parameters(), lr=plan.learning_rate.peak_learning_rate)
    carrier, model, optimizer = wrap(model, optimizer, plan)
    run = runtime.start(carrier)
    for step in run.steps(TensorDataset(*training)):
        for micro in step:
            features, target = micro.batch
            run.backward((model(features) - target).square().squeeze(1), micro)
        run.apply(optimizer)
        if step.is_last or step.number % plan.evaluation["every_steps"] == 0:
            run.record(validation_loss=validation_loss(model, *validation))
    if torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()


if __name__ == "__main__":
    main()
