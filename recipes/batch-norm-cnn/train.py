"""A small CNN with batch norm reads handwritten digits.

    batchwright run recipes/batch-norm-cnn/cpu-1x2.yaml

Needs scikit-learn. Batch, learning rate and sample order come from the plan. Batch norm takes its
statistics from one micro-batch of one process; for validation it takes the running averages of process 0.
"""

import torch
from sklearn.datasets import load_digits
from torch import nn
from torch.nn.functional import cross_entropy
from torch.utils.data import TensorDataset

from launcher import runtime


def read_digits():
    """Images of 8 x 8 and their digits: 1,437 for training, every fifth of all, 360, for validation."""
    pixels, digits = (torch.tensor(part) for part in load_digits(return_X_y=True))
    images = pixels.float().view(-1, 1, 8, 8) / 16
    held_out = torch.arange(len(digits)) % 5 == 0
    return (images[~held_out], digits[~held_out]), (images[held_out], digits[held_out])


class Network(nn.Module):
    """Three convolutions, each with batch norm, then one linear layer."""

    def __init__(self, classes, widths=(16, 32, 64)):
        super().__init__()
        layers, given = [], 1
        for width in widths:
            layers += [nn.Conv2d(given, width, 3, padding=1, bias=False), nn.BatchNorm2d(width), nn.ReLU()]
            given = width
        self.layers = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten())
        self.head = nn.Linear(given, classes)

    def forward(self, images, digits):
        """Loss of each image, in nats."""
        return cross_entropy(self.head(self.layers(images)), digits, reduction="none")


def build(*, micro_batch_size, num_classes, image_size):
    """The module and a sample batch, for `batchwright trace`."""
    images = torch.zeros(micro_batch_size, 1, image_size, image_size)
    return Network(num_classes), (images, torch.zeros(micro_batch_size, dtype=torch.long))


@torch.no_grad()
def validated(model, images, digits):
    """Loss and accuracy on images that are never trained on."""
    model.eval()
    scores = model.head(model.layers(images))
    model.train()
    right = (scores.argmax(1) == digits).float().mean()
    return {"validation_loss": float(cross_entropy(scores, digits)), "validation_accuracy": float(right)}


def main():
    plan = runtime.read_plan()
    torch.manual_seed(plan.seed)
    training, validation = read_digits()
    torch.distributed.init_process_group(plan.layout.backend)
    model = nn.parallel.DistributedDataParallel(Network(plan.model.others["num_classes"]))
    rate, momentum = plan.learning_rate.peak_learning_rate, plan.optimizer.momentum
    optimizer = torch.optim.SGD(model.parameters(), lr=rate, momentum=momentum)
    run = runtime.start(model)
    for step in run.steps(TensorDataset(*training)):
        for micro in step:
            run.backward(model(*micro.batch), micro)
        run.apply(optimizer)
        if step.is_last or step.number % plan.evaluation["every_steps"] == 0:
            run.record(**validated(model.module, *validation))
    torch.distributed.destroy_process_group()


if __name__ == "__main__":
    main()
