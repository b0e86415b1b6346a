"""Every storage of one forward and backward pass: when it comes, where it is saved for backward, when it goes.

Imports torch; nothing that plans may import this module.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any

import torch
from torch.autograd.graph import saved_tensors_hooks
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_iter

__all__ = ["Recording", "Seen", "Step"]


@dataclass(slots=True)
class Seen:
    """One storage."""

    number: int
    size: int
    """Bytes."""
    made_by: str
    """The operation whose output it was, or what it was before the pass: parameter, buffer, input."""
    made_in: str
    """Place of the network that was running."""
    saved_in: str | None = None
    """Place that first saved it for the backward pass; None: nobody did."""
    role: str = ""
    """gradient: what a parameter's .grad holds after the pass; output: what the caller holds."""


@dataclass(frozen=True, slots=True)
class Step:
    """One moment of the pass: a storage came or went, or a mark was set."""

    what: str
    """new, free or mark."""
    number: int = -1
    mark: str = ""


@dataclass
class Recording(TorchDispatchMode):  # type: ignore[misc]
    """Records while entered; `place` is what the network is doing, for whoever moves it on."""

    seen: list[Seen] = field(default_factory=list)
    steps: list[Step] = field(default_factory=list)
    place: str = ""

    def __post_init__(self) -> None:
        super().__init__()
        self._live: dict[int, Seen] = {}

    def __hash__(self) -> int:
        return id(self)

    def know(self, tensors: Mapping[str, Any], *, as_: str) -> None:
        """Tensors that are there before the pass."""
        for name, tensor in tensors.items():
            if self.find(tensor) is None:
                self._add(tensor.untyped_storage(), made_by=as_, made_in=name)

    def find(self, tensor: Any) -> Seen | None:
        """The storage under a tensor, if it was seen."""
        return self._live.get(_key(tensor.untyped_storage()))

    def ordered(self) -> list[Step]:
        """Steps in which storages that went together went in the order they came: which one first is chance."""
        result: list[Step] = []
        for what, group in groupby(self.steps, key=lambda step: step.what):
            steps = list(group)
            result += sorted(steps, key=lambda step: step.number) if what == "free" else steps
        return result

    def mark(self, name: str) -> None:
        """A point in time, by name."""
        self.steps.append(Step("mark", mark=name))

    @contextmanager
    def saving(self) -> Iterator[None]:
        """Notes what autograd saves, and where."""

        def pack(tensor: Any) -> Any:
            found = self.find(tensor) or self._add(
                tensor.untyped_storage(), made_by="unseen", made_in=self.place
            )
            found.saved_in = found.saved_in or self.place
            return tensor

        with saved_tensors_hooks(pack, lambda tensor: tensor):
            yield

    def __torch_dispatch__(
        self,
        func: Callable[..., Any],
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        for item in tree_iter(result):
            if isinstance(item, torch.Tensor) and self.find(item) is None:
                self._add(item.untyped_storage(), made_by=str(func), made_in=self.place)
        return result

    def _add(self, storage: Any, *, made_by: str, made_in: str) -> Seen:
        number, key = len(self.seen), _key(storage)
        seen = Seen(number, storage.nbytes(), made_by, made_in)
        self.seen.append(seen)
        self._live[key] = seen
        self.steps.append(Step("new", number))
        # the Python object of a storage lives as long as the storage itself
        weakref.finalize(storage, self._gone, key, number)
        return seen

    def _gone(self, key: int, number: int) -> None:
        del self._live[key]
        self.steps.append(Step("free", number))


def _key(storage: Any) -> int:
    key: int = storage._cdata  # noqa: SLF001
    return key
