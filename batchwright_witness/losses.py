"""Whether the losses of each optimizer step are finite, without making the device wait for the question.

On a CPU a number is there when the loss is. On a device it is copied when the device comes to it, and read when it has
arrived: some steps later, and never waited for, except before a save, which waits for the device anyway.
"""

from __future__ import annotations

import math
import sys
from collections import deque
from typing import Any, NamedTuple

__all__ = ["Losses"]

PENDING = 8
"""Steps whose answer may be on its way; further ones are not asked about."""


class _Asked(NamedTuple):
    step: int
    at: float
    host: Any
    arrived: Any


class Losses:
    """The losses of one process."""

    def __init__(self) -> None:
        self._finite = True
        self._any = False
        self._waiting: list[Any] = []
        self._asked: deque[_Asked] = deque()
        self._known: list[tuple[int, bool, float]] = []

    def take(self, loss: Any) -> None:
        """A loss that goes backward: a tensor of one number, or anything else, which is passed over."""
        if not hasattr(loss, "is_cuda") or loss.numel() != 1 or not loss.is_floating_point():
            return
        if loss.is_cuda:
            self._waiting.append(loss.detach())
        elif loss.is_cpu:
            self._any = True
            self._finite = self._finite and math.isfinite(loss.item())

    def forget(self) -> None:
        """The step that these losses belong to was left out."""
        self._finite, self._any = True, False
        self._waiting.clear()

    def close(self, step: int, at: float) -> None:
        """The losses since the last call belong to this step."""
        if self._waiting and len(self._asked) < PENDING:
            self._asked.append(_ask(step, at, self._waiting))
        elif self._any:
            self._known.append((step, self._finite, at))
        self.forget()

    def known(self, *, wait: bool = False) -> list[tuple[int, bool, float]]:
        """Steps not told before: number, whether all its losses here were finite, time. In order."""
        while self._asked and (wait or self._asked[0].arrived.query()):
            asked = self._asked.popleft()
            if wait:
                asked.arrived.synchronize()
            self._known.append((asked.step, bool(asked.host.item()), asked.at))
        told, self._known = self._known, []
        return told


def _ask(step: int, at: float, losses: list[Any]) -> _Asked:
    """Three small kernels and a copy into pinned memory, which the host does not wait for."""
    torch: Any = sys.modules["torch"]
    with torch.no_grad():
        finite = torch.stack([loss.reshape(()).float() for loss in losses]).isfinite().all()
        host = torch.empty((), dtype=torch.bool, pin_memory=True)
        host.copy_(finite, non_blocking=True)
    arrived = torch.cuda.Event()
    arrived.record()
    return _Asked(step, at, host, arrived)
