"""Functions that cannot be traced, for the messages about them."""

import os
import time

import torch
from torch import nn


class Counting(nn.Module):
    """Looks at a number in a tensor."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(8, 8)

    def forward(self, x):
        y = self.layer(x)
        if y.sum().item() > 0:
            y = 2 * y
        return y.mean()


def counting():
    return Counting(), torch.randn(4, 8)


def mismatched():
    return nn.Sequential(nn.Linear(8, 16), nn.Linear(8, 16)), torch.randn(4, 8)


def asking(width_of_the_second_layer):
    return nn.Linear(8, width_of_the_second_layer), torch.randn(4, 8)


def dying():
    print("about to die", flush=True)
    os.abort()


def waiting():
    time.sleep(600)


def fine():
    return nn.Linear(8, 8), torch.randn(4, 8)
