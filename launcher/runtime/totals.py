"""Sums over all ranks."""

from __future__ import annotations

from typing import Any

from launcher.runtime.reducers import Reducer

__all__ = ["global_sum"]


def global_sum(value: Any, *, reducer: Reducer) -> float:
    """The sum of one number over all ranks, in double precision: whole weights add up exactly.

    value: a float, or a tensor of one number. Waits for the device.
    """
    if reducer.world_size == 1:
        return float(value)
    import torch
    from torch import distributed

    total = torch.as_tensor(value, dtype=torch.float64, device=reducer.device)
    distributed.all_reduce(total)
    return float(total)
