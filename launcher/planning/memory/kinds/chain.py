"""Operations in a row: the bytes that they keep for the backward pass, and those held for a moment on the way.

Counts what autograd does, operation by operation: a storage that two operations need is kept once, a gradient of the
input is allocated before the gradient of the output is freed, and what an operation kept is freed after its backward.
Source: pytorch@2.13.0 torch/csrc/autograd/engine.cpp:call_function, saved_variable.h.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

__all__ = ["Operation", "Trace", "Value", "branch", "chain", "joined", "residual"]


class Value(NamedTuple):
    """A tensor between two operations."""

    elements: int
    width: int
    """Bytes of one number."""
    kept: bool = False
    """Whether its storage is counted already."""
    has_gradient: bool = True
    """False: what a data loader brings."""

    @property
    def size(self) -> int:
        """Storage, in bytes."""
        return self.elements * self.width


class Operation(NamedTuple):
    """One operation of autograd: one input, one result, some parameters."""

    elements: int
    """Numbers of its result."""
    reads: int | None = None
    """Bytes of the numbers it computes with; another width is cast first. None: as they come."""
    writes: int | None = None
    """Bytes of the numbers of its result; None: as it reads."""
    keeps_input: bool = False
    keeps_result: bool = False
    in_place: bool = False
    is_view: bool = False
    beside: int = 0
    """Kept beside input and result: statistics, masks, indices."""
    casts: int = 0
    """Copies of weights in the width of the computation; their gradients are cast back in turn."""
    casts_always: int = 0
    """Those among them that are kept though the input needs no gradient."""
    forward_scratch: int = 0
    """Held only while it runs forward, beyond its result."""
    scratch: int = 0
    """Held only while its backward runs, beyond the gradients of result, input and parameters."""
    parameters: tuple[int, ...] = ()
    """Numbers of each parameter tensor."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trace:
    """What a row of operations does to memory, in bytes."""

    result: Value
    saved: int
    """Storages kept for the backward pass, the input's where nobody counted it before."""
    forward: int
    """Held at once in the forward pass beyond `saved`, at most."""
    backward: int
    """Held at once in the backward pass beyond `saved`, without the gradients of parameters."""
    backward_gradients: int
    """How much more those of its own parameters make of it."""
    casts: int
    """Share of saved that is copies of weights."""
    parameters: tuple[int, ...]


def chain(operations: Sequence[Operation], given: Value, *, gradient: int = 0) -> Trace:
    """Operations one after the other, each the only reader of the one before.

    `gradient`: bytes of the gradient of one parameter.
    """
    steps, result = _steps(operations, given)
    saved, bare = _kept(steps), _backward(steps)
    return Trace(
        result=result,
        saved=saved,
        forward=max(0, _highest(steps) - saved),
        backward=max(0, bare - saved),
        backward_gradients=max(saved, _backward(steps, gradient=gradient)) - max(saved, bare),
        casts=sum(step.casts for step in steps),
        parameters=_parameters(operations),
    )


def joined(first: Trace, second: Trace, *, gradient: int) -> Trace:
    """Two traces, the second of the first one's result."""
    bare = max(first.backward - second.saved, second.backward)
    passed = gradient * sum(second.parameters)
    fresh = max(
        first.backward + first.backward_gradients - second.saved + passed,
        second.backward + second.backward_gradients,
    )
    return Trace(
        result=second.result,
        saved=first.saved + second.saved,
        forward=max(first.forward - second.saved, second.forward),
        backward=bare,
        backward_gradients=fresh - bare,
        casts=first.casts + second.casts,
        parameters=(*first.parameters, *second.parameters),
    )


def residual(operations: Sequence[Operation], given: Value, *, gradient: int) -> Trace:
    """`x + f(x)`: the gradient of the sum waits until f is through, and what f gives back is added to it."""
    steps, result = _steps(operations, given)
    saved = _kept(steps)
    bare = _backward(steps, held=given.size, cast=result.width != given.width)
    fresh = _backward(steps, held=given.size, cast=result.width != given.width, gradient=gradient)
    return Trace(
        result=Value(elements=given.elements, width=given.width),
        saved=saved,
        forward=max(_highest(steps) - saved, result.size * (not result.kept) + given.size),
        backward=max(0, bare - saved),
        backward_gradients=max(saved, fresh) - max(saved, bare),
        casts=sum(step.casts for step in steps),
        parameters=_parameters(operations),
    )


def branch(
    main: Sequence[Operation], shortcut: Sequence[Operation], given: Value, *, gradient: int = 0
) -> Trace:
    """`main(x) + shortcut(x)` and an in-place ReLU: a residual block; an empty shortcut is the identity.

    The engine runs the shortcut back first, since it was built later: the gradient of the sum waits for the main row
    meanwhile. With the identity that gradient waits until the main row is through, to be added to its result.
    """
    steps, result = _steps(main, given)
    shorts, _ = _steps(shortcut, Value(elements=given.elements, width=given.width, kept=True))
    first, second, total = _kept(steps), _kept(shorts), result.size
    saved = first + second + total
    bare = _branched(steps, shorts, before=first, given=given.size, total=total)
    passed = gradient * sum(_parameters(shortcut))
    fresh = _branched(
        steps, shorts, before=first, given=given.size, total=total, gradient=gradient, passed=passed
    )
    return Trace(
        result=Value(elements=result.elements, width=result.width, kept=True),
        saved=saved,
        forward=max(0, _highest(steps) - saved, first + total + _highest(shorts) - saved),
        backward=max(2 * total, bare - saved),
        backward_gradients=max(2 * total, fresh - saved) - max(2 * total, bare - saved),
        casts=sum(step.casts for step in (*steps, *shorts)),
        parameters=_parameters((*main, *shortcut)),
    )


def _branched(
    steps: Sequence[_Step],
    shorts: Sequence[_Step],
    *,
    before: int,
    given: int,
    total: int,
    gradient: int = 0,
    passed: int = 0,
) -> int:
    """Held at once in the backward pass of both rows, with what is still kept, in bytes."""
    if not shorts:
        return _backward(steps, held=total, gradient=gradient)
    return max(
        before + _backward(shorts, held=total, gradient=gradient),
        passed + given + _backward(steps, gradient=gradient),
    )


def _parameters(operations: Sequence[Operation]) -> tuple[int, ...]:
    return tuple(count for operation in operations for count in operation.parameters)


def _steps(operations: Sequence[Operation], given: Value) -> tuple[list[_Step], Value]:
    current, steps = given, []
    for operation in operations:
        current, step = _forward(operation, current)
        steps.append(step)
    return steps, current


def _kept(steps: Sequence[_Step]) -> int:
    return sum(step.kept for step in steps)


def _highest(steps: Sequence[_Step]) -> int:
    """Held at once in the forward pass, at most, with what is kept until then, in bytes."""
    high = before = 0
    for step in steps:
        high = max(high, before + step.forward)
        before += step.kept
    return high


class _Step(NamedTuple):
    kept: int
    """First kept here, so freed after the backward of this operation."""
    casts: int
    """Share of kept that is copies of weights."""
    forward: int
    given: int
    """Gradient of the input, in bytes; 0 where it has none."""
    result: int
    scratch: int
    cast: int
    """Gradient of the input before a cast, in bytes; 0 without one."""
    parameters: int
    """Numbers of its parameters."""
    narrow: int
    """Gradients of copies of weights, in bytes, before they are cast to the weights' own width."""


def _forward(operation: Operation, given: Value) -> tuple[Value, _Step]:
    reads = operation.reads or given.width
    cast = reads != given.width
    read = Value(elements=given.elements, width=reads, has_gradient=given.has_gradient) if cast else given
    # a product needs its weight for the gradient of its input only; a convolution keeps it anyhow
    casts = operation.casts if given.has_gradient else operation.casts_always
    kept = operation.beside + casts
    live = given.size * (not given.kept) + read.size * cast
    if operation.keeps_input and not read.kept:
        kept += read.size
        live -= read.size
        read = Value(elements=read.elements, width=read.width, kept=True, has_gradient=read.has_gradient)
    result = Value(elements=operation.elements, width=operation.writes or reads)
    if operation.in_place or operation.is_view:
        result = Value(elements=operation.elements, width=result.width, kept=read.kept)
    else:
        live += result.size
    if operation.keeps_result and not result.kept:
        kept += result.size
        live -= result.size
        result = Value(elements=result.elements, width=result.width, kept=True)
    return result, _Step(
        kept=kept,
        casts=casts,
        forward=kept + live + operation.forward_scratch,
        given=0 if operation.is_view else read.size * read.has_gradient,
        result=result.size,
        scratch=operation.scratch,
        cast=given.size * cast * given.has_gradient,
        parameters=sum(operation.parameters),
        narrow=operation.casts,
    )


def _backward(steps: Sequence[_Step], *, gradient: int = 0, held: int = 0, cast: bool = False) -> int:
    """Held at once in the backward pass, at most, with what is still kept, in bytes.

    `held`: a gradient of the result that another branch still needs; `cast`: the last operation gets a copy of it.
    """
    left, high, waiting = _kept(steps), 0, held if cast else 0
    for step in reversed(steps):
        fresh = gradient * step.parameters
        early = step.narrow or fresh
        high = max(high, left + early + waiting + step.result + step.given + step.scratch)
        left, waiting = left - step.kept + fresh, held
        if step.narrow:
            high = max(high, left + waiting + step.given + step.narrow)
        if step.cast:
            high = max(high, left + waiting + step.given + step.cast)
    return high
