"""What an optimizer would do next, and how it scales the parameters, from the state in a checkpoint. Imports torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from launcher.measuring.sharpness.curvature import flat

__all__ = ["Settings", "Update", "next_update"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Numbers of the optimizer as planned; what the checkpoint's own groups say comes first."""

    name: str
    betas: tuple[float, float]
    epsilon: float
    momentum: float
    nesterov: bool
    weight_decay: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Update:
    """The step that comes next on the probe batch, before the learning rate."""

    direction: Any
    """Flat; what is subtracted."""
    words: str
    own: bool
    """Whether it is the optimizer's, not the plain gradient in its place."""
    learning_rate: float | None = None
    """The one that the checkpoint's optimizer last had."""
    scale: Any = None
    """P ** -1/2, flat, where the optimizer divides by P; 0 where it has never moved anything."""
    settings: Settings | None = None
    """With what the checkpoint says."""


def next_update(*, module: Any, gradient: Any, settings: Settings, state: Mapping[str, Any] | None) -> Update:
    """The update of SGD, Adam or AdamW; the gradient with the reason in words where that is not known."""
    if state is None:
        return _gradient(gradient, "the checkpoint holds no optimizer")
    if settings.name not in {"sgd", "adam", "adamw"}:
        return _gradient(gradient, f"the step of {settings.name} is not known here")
    trained = [each for each in module.parameters() if each.requires_grad]
    try:
        places = _places(module, state)
        settings = _as_saved(settings, state["param_groups"][0])
        rate = float(state["param_groups"][0]["lr"])
        saved = [state["state"].get(places[id(each)], {}) for each in trained]
        make = _sgd if settings.name == "sgd" else _adam
        decay = _decay(trained, places, state, settings.weight_decay)
        found = make(trained, gradient, settings, saved, decay)
    except (KeyError, TypeError, ValueError, AttributeError, RuntimeError) as error:
        words = (
            str(error).strip("'\"") if isinstance(error, ValueError) else f"{type(error).__name__}: {error}"
        )
        return _gradient(gradient, f"the checkpoint's optimizer cannot be read as {settings.name}: {words}")
    return Update(
        direction=found[0], words=found[1], own=True, learning_rate=rate, scale=found[2], settings=settings
    )


def _gradient(gradient: Any, why: str) -> Update:
    return Update(direction=gradient, words=f"the gradient of the probe batch ({why})", own=False)


def _as_saved(settings: Settings, group: Mapping[str, Any]) -> Settings:
    """The first group's betas and momentum; others are taken to have the same, their weight decay is their own."""
    betas = group.get("betas", settings.betas)
    return Settings(
        name=settings.name,
        betas=(float(betas[0]), float(betas[1])),
        epsilon=float(group.get("eps", settings.epsilon)),
        momentum=float(group.get("momentum", settings.momentum)),
        nesterov=bool(group.get("nesterov", settings.nesterov)),
        weight_decay=settings.weight_decay,
    )


def _places(module: Any, state: Mapping[str, Any]) -> dict[int, Any]:
    """Parameter (by id) to its number in the optimizer's state. Raises ValueError where that cannot be told."""
    groups = state["param_groups"]
    numbers = [number for group in groups for number in group["params"]]
    if all("param_names" in group for group in groups):
        names = [name for group in groups for name in group["param_names"]]
        there = {name.removeprefix("module."): number for name, number in zip(names, numbers, strict=True)}
        return {id(each): there.get(name) for name, each in module.named_parameters()}
    every = list(module.parameters())
    trained = [each for each in every if each.requires_grad]
    orders = [every, trained] if len(groups) == 1 else []
    # nanoGPT and many after it: matrices decay, vectors do not; a stable sort keeps the order of each
    orders += [sorted(some, key=lambda each: each.dim() < 2) for some in (every, trained)]
    for order in orders:
        if len(order) == len(numbers) and _fits(order, numbers, state["state"]):
            return {id(each): number for each, number in zip(order, numbers, strict=True)}
    raise ValueError("its groups do not tell which parameter is which")


def _decay(
    trained: Sequence[Any], places: Mapping[int, Any], state: Mapping[str, Any], planned: float
) -> Any:
    """Weight decay of every entry, flat: each group may have its own, and norms and biases often have none."""
    of = {
        number: float(group.get("weight_decay", planned))
        for group in state["param_groups"]
        for number in group["params"]
    }
    return flat([torch.full_like(each, of.get(places[id(each)], planned)) for each in trained]).detach()


def _fits(order: Sequence[Any], numbers: Sequence[Any], states: Mapping[Any, Mapping[str, Any]]) -> bool:
    pairs = ((each, states.get(number, {})) for each, number in zip(order, numbers, strict=True))
    return all(
        value.shape == each.shape
        for each, saved in pairs
        for value in saved.values()
        if isinstance(value, torch.Tensor) and value.dim()
    )


def _sgd(
    trained: Sequence[Any], gradient: Any, settings: Settings, saved: Sequence[Mapping[str, Any]], decay: Any
) -> tuple[Any, str, Any]:
    """Source: torch@2.13.0 torch/optim/sgd.py:_single_tensor_sgd."""
    pulled = gradient + decay * flat([each.detach() for each in trained])
    if not settings.momentum:
        return pulled, "the step that SGD takes next", None
    buffers = [
        _tensor(each, "momentum_buffer", parameter) for each, parameter in zip(saved, trained, strict=True)
    ]
    buffer = settings.momentum * flat(buffers) + pulled
    step = pulled + settings.momentum * buffer if settings.nesterov else buffer
    return step, "the step that SGD with momentum takes next", None


def _adam(
    trained: Sequence[Any], gradient: Any, settings: Settings, saved: Sequence[Mapping[str, Any]], decay: Any
) -> tuple[Any, str, Any]:
    """The update with the probe batch's gradient in its moments; P of the moments as they were saved.

    Source: torch@2.13.0 torch/optim/adam.py:_single_tensor_adam; P: Cohen et al. 2022, arXiv:2207.14484.
    """
    counts = [int(each["step"]) for each in saved if "step" in each]
    if not counts or not all("exp_avg_sq" in each for each in saved if each):
        raise ValueError("it holds no second moments")
    (one, two), step = settings.betas, max(counts)
    w = flat([each.detach() for each in trained])
    pairs = list(zip(saved, trained, strict=True))
    first, second = (
        flat([_tensor(each, name, like) for each, like in pairs]) for name in ("exp_avg", "exp_avg_sq")
    )
    moved = flat([torch.full_like(like, float(bool(each))) for each, like in pairs]).detach() > 0
    precondition = (1 - one**step) * ((second / (1 - two**step)).sqrt() + settings.epsilon)
    pulled = gradient if settings.name == "adamw" else gradient + decay * w
    m, v = one * first + (1 - one) * pulled, two * second + (1 - two) * pulled**2
    update = m / (1 - one ** (step + 1)) / ((v / (1 - two ** (step + 1))).sqrt() + settings.epsilon)
    if settings.name == "adamw":
        update = update + decay * w
    name = {"adam": "Adam", "adamw": "AdamW"}[settings.name]
    return update, f"the step that {name} takes next", torch.where(moved, precondition.rsqrt(), 0.0)


def _tensor(saved: Mapping[str, Any], name: str, like: Any) -> Any:
    value = saved.get(name)
    return torch.zeros_like(like).detach() if value is None else value.to(like.device, like.dtype)
