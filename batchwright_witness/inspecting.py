"""What a rehearsal and a self-test want to know of every optimizer step: gradient, loss, parameters, optimizer state.

Read right before the step: that is what a reloaded checkpoint has to bring back, to the last bit. Only jobs of those
two commands are inspected; it reads every parameter once per step.
"""

from __future__ import annotations

import functools
import math
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from types import ModuleType
from typing import Any

from batchwright_witness.arrivals import on_arrival

__all__ = ["Inspection", "inspect", "inspected"]

_PARTS = {"cpu": 1 << 18}
_PART = 1 << 22
"""Elements that are summed at once: a copy of a whole parameter in float64 would be part of the peak."""
_current: Inspection | None = None


class Inspection:
    """The steps of this process so far."""

    def __init__(self) -> None:
        self.steps: list[dict[str, Any]] = []
        """One per optimizer step: optimizer, step (both counted from 0), loss, gradient_norm or gradient_squares,
        parameters, state, rates."""
        self.evaluated = False
        """Whether a module was put into evaluation mode after the first step."""
        self.dropout = 0.0
        """Largest share that a dropout layer leaves out, of those that the script has made."""
        self.unseen: list[str] = []
        self._numbers: dict[int, int] = {}
        self._done: Counter[int] = Counter()
        self._losses: list[float] = []
        self._norm: float | None = None

    def went_backward(self, loss: Any) -> None:
        """A number went backward."""
        if loss.numel() == 1:
            self._losses.append(float(loss.detach()))

    def clipped(self, norm: Any) -> None:
        """Somebody clips gradients; `norm` is theirs from before."""
        self._norm = float(norm.full_tensor() if hasattr(norm, "full_tensor") else norm)

    def steps_now(
        self,
        owner: Any,
        *,
        parameters: Iterable[Any],
        state: Mapping[Any, Any],
        rates: list[float],
    ) -> dict[str, Any]:
        """An optimizer, or DeepSpeed's engine, is about to step; the entry of this step."""
        trained = list(parameters)
        index = self._numbers.setdefault(id(owner), len(self._numbers))
        entry = {
            "optimizer": index,
            "step": self._done[index],
            "loss": math.fsum(self._losses) if self._losses else None,
            "gradient_norm": self._norm,
            "gradient_squares": _squares(each.grad for each in trained if each.grad is not None),
            "parameters": _weighed(trained),
            "state": _state(state),
            "rates": rates,
        }
        self._done[index] += 1
        self._losses, self._norm = [], None
        self.steps.append(entry)
        return entry

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for the record of this rank."""
        return {
            "steps": self.steps,
            "evaluated": self.evaluated,
            "dropout": self.dropout,
            "unseen": self.unseen,
        }


def inspected() -> dict[str, Any] | None:
    """What was seen in this process; None where nobody asked."""
    return None if _current is None else _current.to_dict()


def inspect() -> None:
    """From here on every optimizer step of the script is inspected; imports nothing itself."""
    global _current  # noqa: PLW0603 - one process, one inspection
    _current = found = Inspection()
    calls: dict[str, Callable[[Inspection, ModuleType], None]] = {
        "torch._tensor": _losses,
        "torch.nn.modules.module": _evaluation,
        "torch.nn.modules.dropout": _dropouts,
        "torch.nn.utils.clip_grad": _clipping,
        "torch.distributed.fsdp.fully_sharded_data_parallel": _sharded_clipping,
        "torch.optim.optimizer": _optimizers,
        "deepspeed.runtime.engine": _engine,
    }
    on_arrival({name: functools.partial(_careful, found, call) for name, call in calls.items()})


def _careful(found: Inspection, call: Callable[[Inspection, ModuleType], None], module: ModuleType) -> None:
    try:
        call(found, module)
    except Exception as error:  # noqa: BLE001 - a library that changed is said, and trains all the same
        found.unseen.append(f"{module.__name__}: {type(error).__name__}: {error}")


def _losses(found: Inspection, module: ModuleType) -> None:
    original = module.Tensor.backward

    @functools.wraps(original)
    def backward(tensor: Any, *args: Any, **kwargs: Any) -> Any:
        found.went_backward(tensor)
        return original(tensor, *args, **kwargs)

    module.Tensor.backward = backward


def _evaluation(found: Inspection, module: ModuleType) -> None:
    original = module.Module.train

    @functools.wraps(original)
    def train(self: Any, mode: bool = True) -> Any:
        found.evaluated = found.evaluated or (not mode and bool(found.steps))
        return original(self, mode)

    module.Module.train = train


def _dropouts(found: Inspection, module: ModuleType) -> None:
    """Layers as they are made: a look into forward would be part of what torch.compile compiles."""
    owner = module._DropoutNd  # noqa: SLF001
    original = owner.__init__

    @functools.wraps(original)
    def __init__(layer: Any, *args: Any, **kwargs: Any) -> None:  # noqa: N807
        original(layer, *args, **kwargs)
        found.dropout = max(found.dropout, float(layer.p))

    owner.__init__ = __init__


def _clipping(found: Inspection, module: ModuleType) -> None:
    """The gradient's norm from before it was clipped.

    Source: torch@2.13.0 torch/nn/utils/clip_grad.py:clip_grad_norm_; torch.nn.utils takes it from here by name.
    """
    module.clip_grad_norm_ = _noting_norm(found, module.clip_grad_norm_)  # type: ignore[attr-defined]


def _sharded_clipping(found: Inspection, module: ModuleType) -> None:
    owner = module.FullyShardedDataParallel
    owner.clip_grad_norm_ = _noting_norm(found, owner.clip_grad_norm_)


def _noting_norm(found: Inspection, original: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(original)
    def clip_grad_norm_(*args: Any, **kwargs: Any) -> Any:
        norm = original(*args, **kwargs)
        kind = kwargs.get("norm_type", args[2] if len(args) > 2 else 2.0)
        if float(kind) == 2.0:
            found.clipped(norm)
        return norm

    return clip_grad_norm_


def _optimizers(found: Inspection, module: ModuleType) -> None:
    """Optimizers of torch; what steps inside a DeepSpeed engine is the engine's."""

    def before(optimizer: Any, _args: Any, _kwargs: Any) -> None:
        if _inside:
            return
        groups = optimizer.param_groups
        parameters = (each for group in groups for each in group["params"])
        found.steps_now(optimizer, parameters=parameters, state=optimizer.state, rates=_rates(groups))

    untraced = getattr(sys.modules.get("torch"), "_disable_dynamo", lambda function: function)
    module.register_optimizer_step_pre_hook(untraced(before))


_inside: list[Any] = []
"""DeepSpeed engines that are at work."""


def _engine(found: Inspection, module: ModuleType) -> None:
    """DeepSpeed's engine knows the norm after its step, but for stage 0 in fp32, where parameters hold gradients.

    Source: deepspeed@0.19.8 runtime/engine.py:DeepSpeedEngine._take_model_step, get_global_grad_norm.
    """
    owner = module.DeepSpeedEngine
    build, take = owner.__init__, owner._take_model_step  # noqa: SLF001

    @functools.wraps(build)
    def __init__(engine: Any, *args: Any, **kwargs: Any) -> None:  # noqa: N807
        _inside.append(engine)  # ZeRO steps the optimizer once to make its state
        try:
            build(engine, *args, **kwargs)
        finally:
            _inside.pop()

    @functools.wraps(take)
    def _take_model_step(engine: Any, *args: Any, **kwargs: Any) -> Any:
        inner = engine.optimizer
        while getattr(inner, "optimizer", None) is not None:
            inner = inner.optimizer
        entry = found.steps_now(
            engine,
            parameters=engine.module.parameters(),
            state=inner.state,
            rates=_rates(engine.optimizer.param_groups),
        )
        _inside.append(engine)
        try:
            result = take(engine, *args, **kwargs)
        finally:
            _inside.pop()
        norm = engine.get_global_grad_norm()
        if norm is not None:
            entry["gradient_norm"] = float(norm)
        return result

    owner.__init__, owner._take_model_step = __init__, _take_model_step  # noqa: SLF001


def _rates(groups: Any) -> list[float]:
    return [float(group["lr"]) for group in groups if "lr" in group]


def _squares(tensors: Iterable[Any]) -> float:
    """Sum of squares of all elements that this rank holds."""
    return math.fsum(_square(each) for each in tensors)


def _weighed(tensors: Iterable[Any]) -> float:
    """A number that changes with every bit of a tensor, and when two tensors change places."""
    return math.fsum((at + 1) * _square(each) for at, each in enumerate(tensors))


def _state(state: Mapping[Any, Any]) -> float:
    values: list[float] = []
    for kept in state.values():
        if not isinstance(kept, Mapping):
            continue
        for name in sorted(map(str, kept)):
            value: Any = kept.get(name)
            if hasattr(value, "numel") and value.numel() > 1:
                values.append(_square(value))
            elif hasattr(value, "numel"):  # a step count is a number in one version and a tensor in the next
                values.append(float(value) if value.numel() else 0.0)
            elif isinstance(value, int | float):
                values.append(float(value))
    return math.fsum((at + 1) * value for at, value in enumerate(values))


def _square(tensor: Any) -> float:
    local = getattr(tensor, "ds_tensor", tensor)  # ZeRO-3 leaves the parameter itself empty
    local = local.to_local() if hasattr(local, "to_local") else local
    parts = local.detach().reshape(-1).split(_PARTS.get(local.device.type, _PART))
    return math.fsum(float(part.double().square().sum()) for part in parts)
