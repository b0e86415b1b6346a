"""Bytes alive at every operation of a training step, and the storages behind them. Imports torch."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_iter

__all__ = ["Copies", "LiveBytes", "Moment", "Storage"]


@dataclass(slots=True, eq=False)
class Storage:
    """Memory behind one or more tensors."""

    bytes: int
    segment: int
    """What the step was doing when it came."""
    path: str
    """Module that was running then."""
    born: int
    """Operations before it."""
    alive: bool = True


class Moment(NamedTuple):
    """After one operation: its outputs are there, its inputs not yet gone."""

    segment: int
    live: int
    """Bytes."""


Copies = Callable[[Sequence[Any], Any], Sequence[Any]]
"""Arguments and result of an operation to tensors that its kernel holds once more while it runs."""


class LiveBytes(TorchDispatchMode):  # type: ignore[misc]
    """Watches every operation while entered; `segment` and `path` are moved on by whoever knows what is running.

    A storage counts whole and once, however many tensors look at it, from the operation that made it until the last
    of them is gone. What a kernel holds inside itself is not seen, but for the kernels named in `copies`.
    """

    def __init__(self, *, copies: Mapping[str, Copies] | None = None) -> None:
        super().__init__()
        self._copies = copies or {}
        self.instead: dict[str, Callable[..., Any]] = {}
        """Name of an operation to what its result is replaced by: (result, operation, arguments, keywords)."""
        self.live = 0
        self.segment = 0
        self.path = ""
        self.moments: list[Moment] = []
        self._storages: dict[int, tuple[Any, Storage]] = {}

    def __torch_dispatch__(
        self,
        func: Callable[..., Any],
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        if str(func) in self.instead:
            result = self.instead[str(func)](result, func, args, kwargs or {})
        for item in tree_iter(result):
            if isinstance(item, torch.Tensor):
                self.storage(item)
        copies = self._copies.get(str(func))
        inside = 0 if copies is None else sum(self.storage(one).bytes for one in copies(args, result))
        self.moments.append(Moment(self.segment, self.live + inside))
        return result

    def storage(self, tensor: Any) -> Storage:
        """The memory behind a tensor; one not seen before counts from now on."""
        memory = tensor.untyped_storage()
        key = memory._cdata  # noqa: SLF001 - identity of the C++ storage
        if key in self._storages:
            return self._storages[key][1]
        found = Storage(bytes=memory.nbytes(), segment=self.segment, path=self.path, born=len(self.moments))
        # the Python object of a storage lives as long as the storage; the reference must live to call back
        self._storages[key] = (weakref.ref(memory, lambda _: self._gone(key)), found)
        self.live += found.bytes
        return found

    def storages(self, values: Any) -> tuple[Storage, ...]:
        """Memory behind all tensors of a nested value, each once."""
        found = {
            id(one): one
            for one in (self.storage(item) for item in tree_iter(values) if isinstance(item, torch.Tensor))
        }
        return tuple(found.values())

    def alive(self) -> tuple[Storage, ...]:
        """All that is there now, oldest first."""
        return tuple(sorted((one for _, one in self._storages.values()), key=lambda one: one.born))

    def _gone(self, key: int) -> None:
        _, storage = self._storages.pop(key)
        storage.alive = False
        self.live -= storage.bytes
