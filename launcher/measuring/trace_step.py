"""One training step of a module whose tensors hold no numbers: what is alive when. Imports torch."""

from __future__ import annotations

import gc
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch.utils._pytree import tree_iter

from launcher.measuring.live_bytes import LiveBytes, Moment, Storage
from launcher.measuring.trace_surroundings import Surroundings
from launcher.measuring.trace_units import Walk, repeated_modules

__all__ = ["Piece", "StepTrace", "call", "loss_of", "trace_step"]


@dataclass(slots=True, kw_only=True)
class Piece:
    """A stretch of the pass. Bytes; lists hold one number for every operation, in order."""

    unit: str
    """Path of the block; empty between blocks."""
    kind: str
    """Its class."""
    parameters: int = 0
    parameter_bytes: int = 0
    trained: int = 0
    largest: int = 0
    """Numbers of the largest trained tensor."""
    tied: int = 0
    """Parameters that it shares with a piece before it; counted there."""
    tied_bytes: int = 0
    """Of their gradients, which wait for those of the piece they are counted in."""
    gradient_bytes: int = 0
    saved: int = 0
    """Alive at the end of the forward pass, its own input included, the batch not."""
    boundary: int = 0
    """Its input."""
    forward: list[int] = field(default_factory=list)
    """Forward pass, beyond what this piece and those before it save."""
    loss: list[int] = field(default_factory=list)
    """Backward pass before the first gradient of a parameter, beyond everything saved."""
    fresh: list[int] = field(default_factory=list)
    """Backward pass, beyond what this piece and those before it save and the gradients of those after it."""
    beyond: list[int] = field(default_factory=list)
    """The same, its own gradients left out too."""


@dataclass(slots=True, kw_only=True)
class StepTrace:
    """Forward and backward pass at one size. Bytes; optimizer states are not there yet."""

    pieces: list[Piece]
    parameter_bytes: int
    buffer_bytes: int
    """Buffers, and whatever else the module keeps from step to step."""
    batch_bytes: int
    gradient_bytes: int
    saved_bytes: int
    """Alive at the end of the forward pass, batch and buffers left out."""
    saved_by_path: dict[str, int]
    """The same by the module that ran when they came."""
    forward_peak: int
    """Until the first gradient of a parameter."""
    backward_peak: int
    loss: str
    """What was taken for the loss."""
    odd: bool
    """The pass is not a row of the blocks that were looked for."""


def trace_step(*, module: Any, batch: Any, around: Surroundings, blocks: bool = True) -> StepTrace:
    """Forward and backward pass of `module` on `batch`; gradients stay.

    blocks: look for repeated blocks; without, the whole pass is one piece. Raises whatever the module raises.
    """
    gc.collect()
    book = around.book
    parameters = _total(book.storages(list(module.parameters())))
    given, base = _total(book.storages(batch)), book.live
    known = {id(one) for one in book.alive()}
    book.moments.clear()
    book.segment = 0
    with Walk(module, repeated_modules(module) if blocks else (), book) as walk:
        with around.forward():
            loss, taken = loss_of(call(module, batch))
        walk.turn()
        turned = len(book.moments)
        kept = [one for one in book.alive() if id(one) not in known]
        loss.backward()
        del loss
    pieces = [
        Piece(unit=one.unit, kind=type(module.get_submodule(one.unit)).__qualname__ if one.unit else "")
        for one in walk.stretches
    ]
    gradients = _count_parameters(pieces, module, walk, book)
    _attribute(pieces, walk, kept)
    first = min((one.born for one, _ in gradients), default=len(book.moments))
    _measure(pieces, book.moments, turned=turned, first=first, base=base, gradients=gradients)
    return StepTrace(
        pieces=pieces,
        parameter_bytes=parameters,
        buffer_bytes=base - given - parameters,
        batch_bytes=given,
        gradient_bytes=_total([one for one, _ in gradients]),
        saved_bytes=_total(kept),
        saved_by_path=_by_path(kept),
        forward_peak=max((moment.live for moment in book.moments[:first]), default=base),
        backward_peak=max((moment.live for moment in book.moments[max(turned, first) :]), default=base),
        loss=taken,
        odd=walk.odd,
    )


def call(module: Any, batch: Any) -> Any:
    """The module's output: keyword arguments from a mapping, positional ones from a sequence."""
    if isinstance(batch, Mapping):
        return module(**batch)
    if isinstance(batch, (tuple, list)):
        return module(*batch)
    return module(batch)


def loss_of(output: Any) -> tuple[Any, str]:
    """A scalar to go backward from, and what it is.

    Raises TypeError where there is no tensor.
    """
    loss = output.get("loss") if isinstance(output, Mapping) else getattr(output, "loss", None)
    if isinstance(loss, torch.Tensor):
        return (loss if loss.dim() == 0 else loss.mean()), "the output's loss"
    found = next((one for one in tree_iter(output) if isinstance(one, torch.Tensor)), None)
    if found is None:
        raise TypeError("the module returns no tensor")
    if found.dim() == 0:
        return found, "the output"
    return found.mean(), "the mean of the first output"


def _count_parameters(
    pieces: Sequence[Piece], module: Any, walk: Walk, book: LiveBytes
) -> list[tuple[Storage, int]]:
    """Fills in parameters; gives the storages of gradients, each with the piece its parameter belongs to."""
    seen: dict[int, int] = {}
    gradients: dict[int, tuple[Storage, int]] = {}
    for path, parameter in module.named_parameters(remove_duplicate=False):
        at = _home(path.rpartition(".")[0], walk)
        if id(parameter) in seen:
            if seen[id(parameter)] != at:
                later = pieces[max(at, seen[id(parameter)])]
                later.tied += parameter.numel()
                later.tied_bytes += parameter.numel() * parameter.element_size() * parameter.requires_grad
            continue
        seen[id(parameter)] = at
        piece = pieces[at]
        piece.parameters += parameter.numel()
        piece.parameter_bytes += parameter.numel() * parameter.element_size()
        if parameter.requires_grad:
            piece.trained += parameter.numel()
            piece.largest = max(piece.largest, parameter.numel())
        if parameter.grad is not None:
            storage = book.storage(parameter.grad)
            piece.gradient_bytes += storage.bytes if id(storage) not in gradients else 0
            gradients.setdefault(id(storage), (storage, at))
    return list(gradients.values())


def _home(owner: str, walk: Walk) -> int:
    """Segment of the block that holds a module, else the one it first ran in; 0 where it did not run."""
    path = owner
    for number, stretch in enumerate(walk.stretches):
        if stretch.unit and (path == stretch.unit or path.startswith(f"{stretch.unit}.")):
            return number
    return walk.ran.get(path, 0)


def _attribute(pieces: Sequence[Piece], walk: Walk, kept: Sequence[Storage]) -> None:
    """Saved bytes of every piece: what came while it ran, and its input where nothing else was given the same."""
    users: dict[int, list[int]] = {}
    for number, stretch in enumerate(walk.stretches):
        for one in stretch.inputs:
            found = users.setdefault(id(one), [])
            if found == [number - 1] and not walk.stretches[number - 1].unit:
                found.clear()  # what one block puts out and the next takes passes by what runs between them
            found.append(number)
    busy = {one.segment for one in kept}
    own: dict[int, int] = {}
    for number, stretch in enumerate(walk.stretches):
        for one in stretch.inputs:
            idle = range(one.segment + 1, number)
            if users[id(one)] == [number] and one.segment < number and not busy.intersection(idle):
                own[id(one)] = number
                pieces[number].boundary += one.bytes
    for one in kept:
        pieces[own.get(id(one), one.segment)].saved += one.bytes


def _measure(
    pieces: Sequence[Piece],
    moments: Sequence[Moment],
    *,
    turned: int,
    first: int,
    base: int,
    gradients: Sequence[tuple[Storage, int]],
) -> None:
    """Bytes held for a moment: every operation's, less what is counted elsewhere."""
    saved = [base]
    for piece in pieces:
        saved.append(saved[-1] + piece.saved)
    after = [0] * len(pieces)
    for number in range(len(pieces) - 2, -1, -1):
        later = pieces[number + 1]
        after[number] = after[number + 1] + later.gradient_bytes + later.tied_bytes
    own = [
        sorted((one.born, one.bytes) for one, at in gradients if at == number)
        for number in range(len(pieces))
    ]
    for number, moment in enumerate(moments):
        piece = pieces[moment.segment]
        held = moment.live - saved[moment.segment + 1]
        if number < turned:
            piece.forward.append(held)
        elif number < first:
            piece.loss.append(moment.live - saved[-1])
        else:
            fresh = held - after[moment.segment]
            piece.fresh.append(fresh)
            piece.beyond.append(fresh - sum(size for born, size in own[moment.segment] if born <= number))


def _by_path(kept: Sequence[Storage]) -> dict[str, int]:
    found: dict[str, int] = {}
    for one in kept:
        found[one.path] = found.get(one.path, 0) + one.bytes
    return found


def _total(storages: Sequence[Storage]) -> int:
    return sum(one.bytes for one in storages)
