"""A module whose loss on one batch is one number: nothing random, fp32, attention that can be derived twice."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.modules.batchnorm import _BatchNorm

__all__ = ["settled"]


@contextmanager
def settled(module: Any) -> Iterator[None]:
    """Dropout off, batch norm as in training (its running statistics are put back), attention in plain products.

    Attention of scaled_dot_product_attention runs by torch's `math` kernel: the others have no second derivative.
    Source: torch@2.13.0 derivatives of _scaled_dot_product_flash_attention_for_cpu and its like.
    """
    modes = [(each, each.training) for each in module.modules()]
    kept = [(buffer, buffer.detach().clone()) for buffer in module.buffers()]
    module.eval()
    for each in module.modules():
        if isinstance(each, _BatchNorm):
            each.train()
    try:
        with sdpa_kernel(SDPBackend.MATH):
            yield
    finally:
        with torch.no_grad():
            for buffer, value in kept:
                buffer.copy_(value)
        for each, training in modes:
            each.training = training
