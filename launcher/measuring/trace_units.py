"""Repeated blocks of a module, and which of them a training step is in. Imports torch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch.utils._pytree import tree_iter

from launcher.measuring.live_bytes import LiveBytes, Storage

__all__ = ["Stretch", "Walk", "repeated_modules"]

_CONTAINERS = (torch.nn.ModuleList, torch.nn.ModuleDict, torch.nn.Sequential)


@dataclass(frozen=True, slots=True, eq=False)
class Stretch:
    """A piece of the forward pass: one block, or what runs before, between and after blocks."""

    unit: str = ""
    """Path of the block; empty for a piece between blocks."""
    inputs: tuple[Storage, ...] = ()
    """Of the block; between blocks, what the block before put out."""


def repeated_modules(module: Any) -> tuple[str, ...]:
    """Paths of the blocks in lists and sequences of alike modules: outermost ones, in the order of the lists.

    Alike: the same class with parameters of the same shapes.
    """
    chosen: list[str] = []
    for path, container in module.named_modules():
        if not isinstance(container, _CONTAINERS) or _inside(path, chosen):
            continue
        children = dict(container.named_children())
        kinds = [_kind(child) for child in children.values()]
        if any(kind[1] and kinds.count(kind) > 1 for kind in kinds):
            chosen.extend(f"{path}.{name}".lstrip(".") for name in children)
    return tuple(chosen)


class Walk:
    """While entered, moves a book's segment and path along as the module runs: forward as a row of stretches, then
    backward along the same row. A stretch's index is its segment.
    """

    def __init__(self, module: Any, units: tuple[str, ...], book: LiveBytes) -> None:
        self.stretches = [Stretch()]
        self.odd = False
        """A block ran twice or inside another: the pass is not a row of blocks."""
        self.ran: dict[str, int] = {}
        """Path of every module to the segment in which it first ran."""
        self._module, self._units, self._book = module, units, book
        self._paths = {child: path for path, child in module.named_modules()}
        self._outer: list[str] = []
        self._forward, self._inside = True, False
        self._handles: list[Any] = []

    def __enter__(self) -> Walk:  # noqa: PYI034 - Self came with Python 3.11
        every = torch.nn.modules.module
        self._handles = [
            every.register_module_forward_pre_hook(self._into_module),
            every.register_module_forward_hook(self._out_of_module, always_call=True),
        ]
        for path in self._units:
            block = self._module.get_submodule(path)
            self._handles += [
                block.register_forward_pre_hook(self._into_block(path), with_kwargs=True, prepend=True),
                block.register_forward_hook(self._out_of_block),
            ]
        return self

    def __exit__(self, *_: object) -> None:
        for handle in self._handles:
            handle.remove()

    def turn(self) -> None:
        """The forward pass is over; what blocks run from now on they run again for the backward pass."""
        self._forward = False

    def _into_module(self, module: Any, _arguments: Any) -> None:
        self._outer.append(self._book.path)
        path = self._paths.get(module, self._book.path)
        self._book.path = path
        self.ran.setdefault(path, self._book.segment)

    def _out_of_module(self, _module: Any, _arguments: Any, _output: Any) -> None:
        self._book.path = self._outer.pop()

    def _into_block(self, path: str) -> Callable[..., None]:
        def hook(_module: Any, arguments: Any, keywords: Any) -> None:
            if not self._forward:
                return
            self.odd = self.odd or self._inside or any(one.unit == path for one in self.stretches)
            self._inside = True
            before = self._book.segment
            self._begin(Stretch(unit=path, inputs=self._book.storages((arguments, keywords))))
            self.ran[path] = self._book.segment
            self._when_gradient_comes((arguments, keywords), before)

        return hook

    def _out_of_block(self, _module: Any, _arguments: Any, output: Any) -> None:
        if not self._forward:
            return
        self._inside = False
        self._when_gradient_comes(output, self._book.segment)
        self._begin(Stretch(inputs=self._book.storages(output)))

    def _begin(self, stretch: Stretch) -> None:
        self.stretches.append(stretch)
        self._book.segment = len(self.stretches) - 1

    def _when_gradient_comes(self, values: Any, segment: int) -> None:
        """A gradient that is whole means that the backward pass has come down to this segment."""

        def hook(_gradient: Any) -> None:
            self._book.segment = min(self._book.segment, segment)

        for tensor in tree_iter(values):
            if isinstance(tensor, torch.Tensor) and tensor.requires_grad and not tensor.is_leaf:
                tensor.register_hook(hook)


def _inside(path: str, chosen: list[str]) -> bool:
    return any(path == one or path.startswith(f"{one}.") for one in chosen)


def _kind(module: Any) -> tuple[str, tuple[tuple[str, tuple[int, ...]], ...]]:
    shapes = tuple((name, tuple(parameter.shape)) for name, parameter in module.named_parameters())
    return type(module).__qualname__, shapes
