"""Where the script's libraries are watched: one function per library module, called when the script imports it.

Every hook leaves results as they are. What a future version of a library no longer has is reported as not watched.
"""

from __future__ import annotations

import functools
import inspect
import itertools
import os
import sys
import weakref
from collections.abc import Callable, Mapping
from types import ModuleType
from typing import Any

from batchwright_witness.beat_hooks import Hooks, install_hooks, step_hooks, steps_in_state
from batchwright_witness.vitals import Vitals
from batchwright_witness.watch import Watch

__all__ = ["install"]


def install(watch: Watch, environ: Mapping[str, str], vitals: Vitals) -> None:
    """Watch what the script will import; imports nothing itself."""
    calls: Hooks = {
        "torch.optim.optimizer": ("optimizer", functools.partial(_optimizers, watch)),
        "torch.amp.grad_scaler": ("gradient scaler", functools.partial(_scaler, watch)),
        "torch.utils.data.dataloader": ("DataLoader", functools.partial(_loaders, watch)),
        "torch.nn.parallel.distributed": (
            "DistributedDataParallel",
            functools.partial(_forward, watch, "DistributedDataParallel"),
        ),
        "torch.distributed.fsdp.fully_sharded_data_parallel": (
            "FSDP module",
            functools.partial(_forward, watch, "FullyShardedDataParallel"),
        ),
        "torch.distributed.distributed_c10d": ("process group", functools.partial(_groups, watch, environ)),
        "deepspeed.runtime.engine": ("DeepSpeed engine", functools.partial(_engine, watch)),
        "accelerate.state": ("Accelerator", functools.partial(_accelerator, watch, environ)),
    }
    install_hooks(calls, step_hooks(vitals), unseen=watch.blind.append)
    for each in (watch, vitals):
        os.register_at_fork(after_in_child=functools.partial(setattr, each, "alive", False))


def _optimizers(watch: Watch, module: ModuleType) -> None:
    """Steps of every torch optimizer, through torch's own global hooks; those inside a DeepSpeed engine are its own."""

    def before(optimizer: Any, _args: Any, _kwargs: Any) -> None:
        if watch.inside:
            watch.waiting.discard(optimizer)
        elif not watch.knows(optimizer):
            watch.starts(optimizer, functools.partial(steps_in_state, optimizer))

    def after(optimizer: Any, _args: Any, _kwargs: Any) -> None:
        if not watch.inside:
            rates, parameters = (functools.partial(call, optimizer) for call in (_rates, _fingerprint))
            watch.stepped(optimizer, rates, parameters)

    untraced = getattr(sys.modules.get("torch"), "_disable_dynamo", lambda function: function)
    module.register_optimizer_step_pre_hook(untraced(before))
    module.register_optimizer_step_post_hook(untraced(after))
    _after(module.Optimizer, "__init__", watch.waiting.add)


def _scaler(watch: Watch, module: ModuleType) -> None:
    """Steps that a gradient scaler leaves out."""
    original = module.GradScaler.step

    @functools.wraps(original)
    def step(scaler: Any, optimizer: Any, *args: Any, **kwargs: Any) -> Any:
        if not watch.inside and not watch.knows(optimizer):
            watch.starts(optimizer, functools.partial(steps_in_state, optimizer))
        done = watch.steps(optimizer)
        result = original(scaler, optimizer, *args, **kwargs)
        if watch.steps(optimizer) == done:
            watch.skipped(optimizer)
        return result

    module.GradScaler.step = step


def _loaders(watch: Watch, module: ModuleType) -> None:
    """Batches as they are handed out in this process, whoever wraps the loader (Accelerate, DeepSpeed, HF)."""
    names: weakref.WeakKeyDictionary[Any, str] = weakref.WeakKeyDictionary()
    numbers = itertools.count()
    base = module._BaseDataLoaderIter  # noqa: SLF001
    make, following, draw = module.DataLoader.__iter__, base.__next__, base._next_index  # noqa: SLF001

    def begin(loader: Any, iterator: Any) -> None:
        if loader not in names:
            names[loader] = f"loader{next(numbers)}"
            weakref.finalize(loader, watch.counts.forget, names[loader]).atexit = False
        name = iterator._batchwright_source = names[loader]  # noqa: SLF001
        watch.counts.edge(name, ended=False)

    @functools.wraps(make)
    def __iter__(loader: Any) -> Any:  # noqa: N807
        iterator = make(loader)
        watch.carefully(begin, loader, iterator)
        return iterator

    @functools.wraps(following)
    def __next__(iterator: Any) -> Any:  # noqa: N807
        name = getattr(iterator, "_batchwright_source", None)
        try:
            batch = following(iterator)
        except StopIteration:
            if name is not None:
                watch.counts.edge(name, ended=True)
            raise
        if name is not None:
            watch.batch(name, batch)
        return batch

    @functools.wraps(draw)
    def _next_index(iterator: Any) -> Any:
        indices = draw(iterator)
        name = getattr(iterator, "_batchwright_source", None)
        if name is not None and isinstance(indices, list | tuple):
            watch.counts.add(f"{name} drawn", len(indices))
        return indices

    module.DataLoader.__iter__, base.__next__, base._next_index = __iter__, __next__, _next_index  # noqa: SLF001


def _forward(watch: Watch, class_name: str, module: ModuleType) -> None:
    """What goes into the model, for scripts without a DataLoader."""
    owner = getattr(module, class_name)
    original, torch = owner.forward, sys.modules["torch"]

    @functools.wraps(original)
    def forward(self: Any, *args: Any, **kwargs: Any) -> Any:
        # inside torch.compile nothing is counted: a number that changes would compile every step anew
        if not torch.compiler.is_compiling() and self.training and torch.is_grad_enabled():
            watch.wrappers.add(class_name)
            watch.batch("forward", (*args, kwargs) if args else kwargs)
        return original(self, *args, **kwargs)

    owner.forward = forward


def _groups(watch: Watch, environ: Mapping[str, str], module: ModuleType) -> None:
    """The default process group, before it waits for ranks that were never planned."""
    original = module.init_process_group
    signature = inspect.signature(original)

    @functools.wraps(original)
    def init_process_group(*args: Any, **kwargs: Any) -> Any:
        asked = signature.bind_partial(*args, **kwargs).arguments
        from_environment = asked.get("store") is None and str(
            asked.get("init_method") or "env://"
        ).startswith("env")
        watch.asked(asked.get("world_size"), environ if from_environment else {})
        return original(*args, **kwargs)

    module.init_process_group = init_process_group  # type: ignore[attr-defined]


def _engine(watch: Watch, module: ModuleType) -> None:
    """DeepSpeed: one step of the engine is one optimizer step, however often ZeRO steps the optimizer inside."""

    def begin(engine: Any, found: list[Any]) -> None:
        if not watch.knows(engine):
            stage = int(engine.zero_optimization_stage())
            skipped = int(engine.skipped_steps)
            watch.starts(engine, lambda: int(engine.global_steps), zero_stage=stage, skipped=skipped)
            watch.waiting.clear()  # what steps inside the engine steps for it
        # read now: the engine's scheduler changes the rates before its step returns
        found += [_rates(engine.optimizer), engine.skipped_steps]

    def end(engine: Any, found: list[Any]) -> None:
        rates, skipped = found
        if engine.skipped_steps > skipped:
            watch.skipped(engine)
        else:
            watch.stepped(engine, lambda: rates)

    owner = module.DeepSpeedEngine
    build, take = owner.__init__, owner._take_model_step  # noqa: SLF001

    @functools.wraps(build)
    def __init__(engine: Any, *args: Any, **kwargs: Any) -> None:  # noqa: N807
        with _Inside(watch):  # ZeRO steps the optimizer once to make its state
            build(engine, *args, **kwargs)

    @functools.wraps(take)
    def _take_model_step(engine: Any, *args: Any, **kwargs: Any) -> Any:
        found: list[Any] = []
        watch.carefully(begin, engine, found)
        with _Inside(watch):
            result = take(engine, *args, **kwargs)
        watch.carefully(end, engine, found)
        return result

    owner.__init__, owner._take_model_step = __init__, _take_model_step  # noqa: SLF001
    _forward(watch, "DeepSpeedEngine", module)


def _accelerator(watch: Watch, environ: Mapping[str, str], module: ModuleType) -> None:
    """Accelerate's count of ranks; before DeepSpeed starts, whose first start on a CPU compiles for a minute.

    Source: accelerate@1.15.0 state.py:PartialState.__init__ (no backend is one process, with DeepSpeed or without).
    """
    _after(module.AcceleratorState, "__init__", lambda _: watch.joined())
    prepare = module.PartialState._prepare_backend  # noqa: SLF001

    @functools.wraps(prepare)
    def _prepare_backend(*args: Any, **kwargs: Any) -> Any:
        prepared = prepare(*args, **kwargs)
        if prepared[0] is None and environ.get("ACCELERATE_USE_DEEPSPEED", "").lower() == "true":
            watch.alone()
        return prepared

    module.PartialState._prepare_backend = _prepare_backend  # noqa: SLF001


class _Inside:
    """While a DeepSpeed engine works, the optimizer steps inside it are not counted."""

    def __init__(self, watch: Watch) -> None:
        self._watch = watch

    def __enter__(self) -> None:
        self._watch.inside += 1

    def __exit__(self, *_: object) -> None:
        self._watch.inside -= 1


def _after(owner: Any, method: str, call: Callable[..., Any]) -> None:
    original = getattr(owner, method)

    @functools.wraps(original)
    def wrapped(self: Any, *args: Any, **kwargs: Any) -> Any:
        result = original(self, *args, **kwargs)
        call(self)
        return result

    setattr(owner, method, wrapped)


def _rates(optimizer: Any) -> list[float]:
    return [float(group["lr"]) for group in getattr(optimizer, "param_groups", ()) if "lr" in group]


def _fingerprint(optimizer: Any) -> float | None:
    """Sum of a few entries of the first trained parameter; None where a rank holds only its part of it."""
    for group in optimizer.param_groups:
        for parameter in group["params"]:
            if parameter.grad is not None:
                whole = type(parameter).__name__ == "Parameter"
                return float(parameter.detach().reshape(-1)[:1024].double().sum()) if whole else None
    return None
