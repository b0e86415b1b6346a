"""Layers of a person's module that look at the other samples of a micro-batch. Imports torch."""

from __future__ import annotations

from typing import Any

import torch
from torch.nn.modules.batchnorm import _BatchNorm

__all__ = ["coupled_in"]


def coupled_in(module: Any) -> list[str]:
    """Words of `model.batch_coupled` for the batch norms in a module that is in training mode.

    A batch norm that stays in evaluation mode is frozen: its statistics are constants.
    Source: torch@2.13.0 torch/nn/modules/batchnorm.py:_BatchNorm.forward.
    """
    norms = [one for one in module.modules() if isinstance(one, _BatchNorm) and one.training]
    found = {"sync_batch_norm" if isinstance(one, torch.nn.SyncBatchNorm) else "batch_norm" for one in norms}
    return sorted(found)
