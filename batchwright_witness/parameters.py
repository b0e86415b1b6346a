"""Whether what is about to be saved is worth it."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import Any

__all__ = ["all_finite"]


def all_finite(parameters: Iterable[Any]) -> bool | None:
    """Whether every trained parameter here is a number; None where this process holds none that could be asked."""
    found = [ends for parameter in parameters if (ends := _ends(parameter)) is not None]
    return all(bool(ends.isfinite().all()) for ends in found) if found else None


def _ends(parameter: Any) -> Any:
    """Least and largest value, nan when any value is: no copy of the tensor, and no sum that overflows."""
    torch: Any = sys.modules["torch"]
    local = parameter.detach()
    local = local.to_local() if hasattr(local, "to_local") else local
    if not local.numel() or not local.is_floating_point() or not parameter.requires_grad:
        return None
    return torch.stack(torch.aminmax(local))
