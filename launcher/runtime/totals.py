"""Sums over all ranks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from launcher.runtime.reducers import Reducer

__all__ = ["global_sum", "global_sums"]


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


def global_sums(values: Sequence[Any], *, reducer: Reducer) -> list[float]:
    """The sums of some numbers over all ranks, as global_sum takes one, in one message.

    values: as many on every rank; floats, or tensors of one number.
    """
    if reducer.world_size == 1:
        return [float(value) for value in values]
    import torch
    from torch import distributed

    numbers = [torch.as_tensor(value, dtype=torch.float64, device=reducer.device) for value in values]
    totals = torch.stack([number.reshape(()) for number in numbers])
    distributed.all_reduce(totals)
    return [float(total) for total in totals.tolist()]
