"""The losses of each optimizer step, summed, without making the device wait for the question.

On a CPU a number is there when the loss is. On a device it is copied when the device comes to it, and read when it has
arrived: some steps later, and never waited for, except before a save, which waits for the device anyway.
"""

from __future__ import annotations

import sys
from collections import deque
from typing import Any, NamedTuple

__all__ = ["Look", "Losses"]

PENDING = 8
"""Steps whose answer may be on its way; further ones are not asked about."""


class Look(NamedTuple):
    """What is known of one step."""

    step: int
    loss: float
    """Sum of its losses here: nan or infinite when one of them is."""
    at: float
    """When the step was closed."""
    skipped: bool


class _Asked(NamedTuple):
    step: int
    at: float
    skipped: bool
    host: Any
    arrived: Any


class Losses:
    """The losses of one process."""

    def __init__(self) -> None:
        self._sum: float | None = None
        self._waiting: list[Any] = []
        self._asked: deque[_Asked] = deque()
        self._known: list[Look] = []

    def take(self, loss: Any) -> None:
        """A loss that goes backward: a tensor of one number, or anything else, which is passed over."""
        if not hasattr(loss, "is_cuda") or loss.numel() != 1 or not loss.is_floating_point():
            return
        if loss.is_cuda:
            if not _captures():
                self._waiting.append(loss.detach())
        elif loss.is_cpu:
            self._sum = (self._sum or 0.0) + loss.item()

    def close(self, step: int, at: float, *, skipped: bool = False) -> None:
        """The losses since the last call belong to this step."""
        if self._waiting and len(self._asked) < PENDING:
            self._asked.append(_Asked(step, at, skipped, *_ask(self._waiting)))
        elif self._sum is not None:
            self._known.append(Look(step, self._sum, at, skipped))
        self._sum = None
        self._waiting.clear()

    def known(self, *, wait: bool = False) -> list[Look]:
        """Steps not told before, in order."""
        while self._asked and not _captures() and (wait or self._asked[0].arrived.query()):
            asked = self._asked.popleft()
            if wait:
                asked.arrived.synchronize()
            self._known.append(Look(asked.step, float(asked.host.item()), asked.at, asked.skipped))
        told, self._known = self._known, []
        return told


def _ask(losses: list[Any]) -> tuple[Any, Any]:
    """Two small kernels and a copy into pinned memory, which the host does not wait for."""
    torch: Any = sys.modules["torch"]
    with torch.no_grad():
        total = torch.stack([loss.reshape(()).float() for loss in losses]).sum()
        host = torch.empty((), dtype=torch.float32, pin_memory=True)
        host.copy_(total, non_blocking=True)
    arrived = torch.cuda.Event()
    arrived.record()
    return host, arrived


def _captures() -> bool:
    """Whether a CUDA graph is being recorded: what it holds is no value yet, and any question would spoil it."""
    return bool(sys.modules["torch"].cuda.is_current_stream_capturing())
