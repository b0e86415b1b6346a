"""What muP changes with the width, beside the learning rate of hidden layers: all of it, or it is not muP.

Nothing here is applied by a plan: a model must declare its output multiplier and attention scale itself.
"""

from __future__ import annotations

import math
from typing import NamedTuple

__all__ = [
    "HiddenAdam",
    "attention_scale",
    "hidden_adam",
    "hidden_deviation",
    "muadamw_weight_decay",
    "residual_deviation",
    "vector_sgd_rate",
    "width_ratio",
]


class HiddenAdam(NamedTuple):
    """Adam's settings for the matrices of hidden layers."""

    learning_rate: float
    min_learning_rate: float
    epsilon: float


def width_ratio(*, hidden_size: int, base_hidden_size: int) -> float:
    """m, the width over the width that the settings were tuned at.

    Source: Yang et al. 2022, arXiv:2203.03466. Checked: 1024 / 256 = 4, 128 / 256 = 0.5 (NVIDIA/Megatron-LM@d98e8a64
    tests of its muP options).
    """
    return hidden_size / base_hidden_size


def hidden_adam(
    *, learning_rate: float, min_learning_rate: float, epsilon: float, ratio: float
) -> HiddenAdam:
    """Rates and epsilon of hidden matrices under Adam, each over m; embeddings and vectors keep theirs.

    Source: arXiv:2203.03466 table 3; NVIDIA/Megatron-LM@d98e8a64 (epsilon).
    Checked: 1e-3 and 1e-5 at m 4 are 2.5e-4 and 2.5e-6.
    """
    return HiddenAdam(learning_rate / ratio, min_learning_rate / ratio, epsilon / ratio)


def vector_sgd_rate(*, learning_rate: float, ratio: float) -> float:
    """Rate of biases and embeddings under SGD, times m; matrices keep theirs where all widths grow alike.

    Source: microsoft/mup@1981497 mup/optim.py:MuSGD; NVIDIA/Megatron-LM@d98e8a64. Checked: 1e-3 at m 4 is 4e-3.
    """
    return learning_rate * ratio


def muadamw_weight_decay(*, weight_decay: float, ratio: float) -> float:
    """Weight decay of hidden matrices, times m, so that rate times decay stays.

    Source: microsoft/mup@1981497 mup/optim.py:MuAdam (decoupled_wd False).
    """
    return weight_decay * ratio


def hidden_deviation(*, deviation: float, ratio: float) -> float:
    """Standard deviation of a hidden matrix at its start, sigma / sqrt(m).

    Source: arXiv:2203.03466 table 3. Checked: 0.02 at m 4 is 0.01.
    """
    return deviation / math.sqrt(ratio)


def residual_deviation(*, deviation: float, num_layers: int, ratio: float) -> float:
    """The same of a projection into the residual stream, sigma / (sqrt(2 L) sqrt(m)).

    Source: NVIDIA/Megatron-LM@d98e8a64. Checked: 0.02, 8 layers, m 4: 0.0025.
    """
    return deviation / (math.sqrt(2 * num_layers) * math.sqrt(ratio))


def attention_scale(*, head_dim: int) -> float:
    """Factor on query times key, 1 / d in place of 1 / sqrt(d).

    Source: arXiv:2203.03466 definition 4.1. Checked: 64 gives 0.015625.
    """
    return 1 / head_dim
