"""One recorded forward and backward pass of a family's small model. Imports torch."""

from __future__ import annotations

import gc
from collections.abc import Callable
from contextlib import ExitStack, nullcontext
from dataclasses import dataclass
from typing import Any

import torch

from launcher.measuring.emulation import CudaKernels
from launcher.measuring.ledgers.cores import watch_cores
from launcher.measuring.ledgers.family import Family, Sizes, Stack, Variant
from launcher.measuring.recording import Recording
from launcher.measuring.saved_bytes import follow_places

__all__ = ["LAYERS", "Pass", "record"]

LAYERS = 3
"""Layers of every small model: the middle one has a neighbour on either side."""


@dataclass(frozen=True, slots=True)
class Pass:
    """What was recorded under one set of dimensions."""

    recording: Recording
    parameters: dict[str, int]
    """Elements of every parameter, by name."""
    tied: frozenset[str]
    linear: frozenset[str]
    inputs: dict[str, int]
    """Bytes of what enters the middle layer, by stack."""
    outputs: int
    """Bytes of logits that a caller holds who keeps the model's answer."""


def record(family: Family, sizes: Sizes, variant: Variant) -> Pass:
    """Runs one forward and backward pass."""
    torch.manual_seed(0)
    model = family.build(sizes, variant)
    if variant.precision == "bf16":
        model = model.to(torch.bfloat16)
    forward = family.call(model, sizes, variant)
    recording, inputs = Recording(), dict[str, int]()
    recording.know(dict(model.named_parameters()), as_="parameter")
    recording.know(dict(model.named_buffers()), as_="buffer")
    gc.disable()
    try:
        with ExitStack() as hooks:
            hooks.callback(_follow(family, model, recording, inputs))
            hooks.enter_context(watch_cores(recording))
            hooks.enter_context(recording)
            loss, answer = _forward(recording, forward, variant)
            outputs = 0 if answer is None else answer.untyped_storage().nbytes()
            del answer
            recording.mark("backward")
            loss.backward()
            recording.mark("end")
            _gradients(model, recording)
            _partial_gradients(family, model, recording)
            found = _describe(model, recording, inputs, outputs)
            del loss
    finally:
        # storages must go when their last user goes, in the same order in every pass
        gc.enable()
    return found


def _forward(recording: Recording, forward: Callable[[], Any], variant: Variant) -> Any:
    recording.place = "first"
    cast = variant.precision == "autocast" and variant.device == "cpu"
    autocast = torch.autocast("cpu", torch.bfloat16) if cast else nullcontext()
    with recording.saving(), autocast, _kernels(variant):
        return forward()


def _kernels(variant: Variant) -> Any:
    if variant.device == "cpu":
        return nullcontext()
    return CudaKernels(autocast=torch.bfloat16 if variant.precision == "autocast" else None)


def _follow(family: Family, model: Any, recording: Recording, inputs: dict[str, int]) -> Callable[[], None]:
    """Moves the place along, and marks where the middle layers begin and end in both directions."""
    places: dict[str, str] = {}
    marks: list[tuple[Stack, int, Any]] = []
    for stack in family.stacks:
        layers = model.get_submodule(stack.path)
        for index in range(LAYERS):
            prefix = f"{stack.path}.{index}"
            places[prefix] = f"{stack.name}.{index}.{stack.rest}"
            places |= {f"{prefix}.{path}": f"{stack.name}.{index}.{to}" for path, to in stack.places.items()}
        marks += [(stack, index, layers[index]) for index in range(LAYERS)]
    # places first: the mark of the very last layer overrules where follow_places goes back to
    undo = [follow_places(model, recording, places)]
    for stack, index, layer in marks:
        undo.append(
            _mark(layer, stack, index, last=stack is family.stacks[-1], recording=recording, inputs=inputs)
        )

    def all_of_it() -> None:
        for each in undo:
            each()

    return all_of_it


def _mark(
    layer: Any, stack: Stack, index: int, *, last: bool, recording: Recording, inputs: dict[str, int]
) -> Callable[[], None]:
    name = f"{stack.name}.{index}"

    def before(_: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        hidden = args[0] if args else kwargs["hidden_states"]
        recording.mark(f"enter {name}")
        if index == 1:
            inputs[stack.name] = hidden.numel() * hidden.itemsize
        if hidden.requires_grad:
            hidden.register_hook(lambda _: recording.mark(f"backward of {name} ends"))

    def after(_: Any, __: Any, ___: Any, output: Any) -> None:
        hidden = output if isinstance(output, torch.Tensor) else output[0]
        hidden.register_hook(lambda _: recording.mark(f"backward of {name} begins"))
        recording.mark(f"leave {name}")
        if last and index == LAYERS - 1:
            recording.place = "last"

    first = layer.register_forward_pre_hook(before, with_kwargs=True)
    second = layer.register_forward_hook(after, with_kwargs=True)

    def undo() -> None:
        first.remove()
        second.remove()

    return undo


def _gradients(model: Any, recording: Recording) -> None:
    for parameter in model.parameters():
        if parameter.grad is not None:
            seen = recording.find(parameter.grad)
            assert seen is not None
            seen.role = "gradient"


def _partial_gradients(family: Family, model: Any, recording: Recording) -> None:
    """Names the gradient of a shared weight that waits through the layers' backward pass for its other half."""
    named = dict(model.named_parameters(remove_duplicate=False))
    once = dict(model.named_parameters())
    shared = {parameter.untyped_storage().nbytes() for name, parameter in named.items() if name not in once}
    stack = family.stacks[-1].name
    live: set[int] = set()
    waiting: set[int] = set()
    for step in recording.steps:
        if step.what == "new":
            live.add(step.number)
        elif step.what == "free":
            live.discard(step.number)
        elif step.mark == "backward":
            live.clear()
        elif step.mark == f"backward of {stack}.{LAYERS - 1} begins":
            waiting = set(live)
        elif step.mark == f"backward of {stack}.0 ends":
            for number in waiting & live:
                if recording.seen[number].size in shared:
                    recording.seen[number].role = "gradient"


def _describe(model: Any, recording: Recording, inputs: dict[str, int], outputs: int) -> Pass:
    named = dict(model.named_parameters(remove_duplicate=False))
    once = dict(model.named_parameters())
    linear = {
        f"{path}.weight"
        for path, module in model.named_modules()
        if type(module).__name__ in ("Linear", "Conv1D", "NonDynamicallyQuantizableLinear")
    } | {name for name in named if name.endswith("in_proj_weight")}
    return Pass(
        recording,
        {name: parameter.numel() for name, parameter in named.items()},
        frozenset(set(named) - set(once)),
        frozenset(linear),
        inputs,
        outputs,
    )
