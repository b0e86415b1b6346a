"""Where the script's libraries tell what the process is doing; called when the script imports them, like hooks.py."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable, Mapping, Sequence
from types import ModuleType
from typing import Any

from batchwright_witness.arrivals import on_arrival
from batchwright_witness.beats import Pulse
from batchwright_witness.vitals import Vitals

__all__ = ["Hooks", "aside_hooks", "install_hooks", "step_hooks", "steps_in_state"]

Hooks = dict[str, tuple[str, Callable[[ModuleType], None]]]

_WRAPPERS = {
    "torch.nn.parallel.distributed": "DistributedDataParallel",
    "torch.distributed.fsdp.fully_sharded_data_parallel": "FullyShardedDataParallel",
    "deepspeed.runtime.engine": "DeepSpeedEngine",
}


def install_hooks(*several: Hooks, unseen: Callable[[str], None]) -> None:
    """All calls of one module, in the order of the arguments; `unseen` hears of what this version cannot show."""
    calls: dict[str, list[Callable[[ModuleType], None]]] = {}
    for hooks in several:
        for name, (what, call) in hooks.items():
            calls.setdefault(name, []).append(functools.partial(_careful, unseen, what, call))
    on_arrival({name: functools.partial(_all, each) for name, each in calls.items()})


def step_hooks(vitals: Vitals) -> Hooks:
    """Everything, in a script without the runtime."""
    hooks = aside_hooks(vitals.pulse, saves=vitals.saves)
    forward = hooks["deepspeed.runtime.engine"][1]

    def engine(module: ModuleType) -> None:
        _engine(vitals, module)
        forward(module)

    return {
        **hooks,
        "torch.autograd": ("backward", functools.partial(_backward, vitals)),
        "torch.optim.optimizer": ("optimizer steps", functools.partial(_optimizers, vitals)),
        "torch.amp.grad_scaler": ("skipped steps", functools.partial(_scaler, vitals)),
        "deepspeed.runtime.engine": ("engine steps", engine),
    }


def aside_hooks(pulse: Pulse, *, saves: Callable[[], None] | None = None) -> Hooks:
    """Batches, forwards, and what is no part of a step: evaluations and saves."""
    save = saves or pulse.works_aside
    return {
        "torch.utils.data.dataloader": ("batches", functools.partial(_loaders, pulse)),
        "torch.serialization": ("saves", functools.partial(_before, "save", save)),
        "safetensors.torch": ("saves", functools.partial(_before, "save_file", save)),
        **{name: ("forwards", functools.partial(_forward, pulse, kind)) for name, kind in _WRAPPERS.items()},
    }


def steps_in_state(optimizer: Any) -> int | None:
    """Steps that this optimizer did before this process; None when it has a past and keeps no count of it."""
    for state in optimizer.state.values():
        if isinstance(state, Mapping) and state:
            return int(state["step"]) if "step" in state else None
    return 0


def _all(calls: Sequence[Callable[[ModuleType], None]], module: ModuleType) -> None:
    for call in calls:
        call(module)


def _careful(
    unseen: Callable[[str], None], what: str, call: Callable[[ModuleType], None], module: ModuleType
) -> None:
    """A library that changed must not end a training that would have run."""
    try:
        call(module)
    except Exception as error:  # noqa: BLE001
        unseen(f"{what}: this version cannot be watched ({type(error).__name__}: {error})")


def _optimizers(vitals: Vitals, module: ModuleType) -> None:
    def before(optimizer: Any, _args: Any, _kwargs: Any) -> None:
        if not vitals.inside:
            vitals.begins_step(optimizer, functools.partial(steps_in_state, optimizer))

    def after(optimizer: Any, _args: Any, _kwargs: Any) -> None:
        if not vitals.inside:
            vitals.stepped(optimizer)

    untraced = getattr(sys.modules.get("torch"), "_disable_dynamo", lambda function: function)
    module.register_optimizer_step_pre_hook(untraced(before))
    module.register_optimizer_step_post_hook(untraced(after))
    vitals.pulse.watched()


def _scaler(vitals: Vitals, module: ModuleType) -> None:
    original = module.GradScaler.step

    @functools.wraps(original)
    def step(scaler: Any, optimizer: Any, *args: Any, **kwargs: Any) -> Any:
        done = vitals.steps(optimizer)
        vitals.scaled |= scaler.is_enabled()
        result = original(scaler, optimizer, *args, **kwargs)
        if vitals.steps(optimizer) == done and not vitals.inside:
            vitals.skipped(optimizer)
        return result

    module.GradScaler.step = step


def _engine(vitals: Vitals, module: ModuleType) -> None:
    """One step of a DeepSpeed engine is one optimizer step, however often ZeRO steps the optimizer inside."""
    owner = module.DeepSpeedEngine
    build, take = owner.__init__, owner._take_model_step  # noqa: SLF001

    @functools.wraps(build)
    def __init__(engine: Any, *args: Any, **kwargs: Any) -> None:  # noqa: N807
        vitals.inside += 1
        try:
            build(engine, *args, **kwargs)
        finally:
            vitals.inside -= 1

    @functools.wraps(take)
    def _take_model_step(engine: Any, *args: Any, **kwargs: Any) -> Any:
        skipped = getattr(engine, "skipped_steps", 0)
        vitals.scaled |= _scales(engine)
        vitals.begins_step(engine, lambda: int(engine.global_steps))
        vitals.inside += 1
        try:
            result = take(engine, *args, **kwargs)
        finally:
            vitals.inside -= 1
        left_out = getattr(engine, "skipped_steps", 0) > skipped
        (vitals.skipped if left_out else vitals.stepped)(engine)
        return result

    owner.__init__, owner._take_model_step = __init__, _take_model_step  # noqa: SLF001


def _scales(engine: Any) -> bool:
    """Source: deepspeed@0.19.8 runtime/engine.py:DeepSpeedEngine.fp16_enabled."""
    enabled = getattr(engine, "fp16_enabled", False)
    return bool(enabled() if callable(enabled) else enabled)


def _backward(vitals: Vitals, module: ModuleType) -> None:
    """Every backward goes through this function, Tensor.backward too.

    Source: torch@2.13.0 torch/_tensor.py:Tensor.backward.
    """
    original = module.backward

    @functools.wraps(original)
    def backward(tensors: Any, *args: Any, **kwargs: Any) -> Any:
        if sys.modules["torch"].compiler.is_compiling() or not vitals.backward_begins(tensors):
            return original(tensors, *args, **kwargs)
        try:
            return original(tensors, *args, **kwargs)
        finally:
            vitals.backward_ended()

    module.backward = backward  # type: ignore[attr-defined]


def _loaders(pulse: Pulse, module: ModuleType) -> None:
    base = module._BaseDataLoaderIter  # noqa: SLF001
    following = base.__next__

    @functools.wraps(following)
    def __next__(iterator: Any) -> Any:  # noqa: N807
        pulse.enters("data")
        batch = following(iterator)
        pulse.has_batch()
        return batch

    base.__next__ = __next__


def _forward(pulse: Pulse, class_name: str, module: ModuleType) -> None:
    owner = getattr(module, class_name)
    original, torch = owner.forward, sys.modules["torch"]

    @functools.wraps(original)
    def forward(self: Any, *args: Any, **kwargs: Any) -> Any:
        if not torch.compiler.is_compiling():
            if torch.is_grad_enabled():
                pulse.goes_forward()
            else:
                pulse.works_aside()
        return original(self, *args, **kwargs)

    owner.forward = forward


def _before(name: str, call: Callable[[], None], module: ModuleType) -> None:
    original = getattr(module, name)

    @functools.wraps(original)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        call()
        return original(*args, **kwargs)

    setattr(module, name, wrapped)
