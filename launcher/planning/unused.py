"""Written values that change nothing beside the others: legal, and worth a warning because somebody meant something."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from launcher.errors import Problem
from launcher.planning.optimizer import SECOND_MOMENT
from launcher.planning.rescale_problems import DECOUPLED
from launcher.planning.words import as_yaml
from launcher.spec.parallel import DataParallel, Parallel
from launcher.spec.recipe import Recipe
from launcher.spec.training import Scaling

__all__ = ["no_effect"]

_BETAS = {"adam", "adamw", "adamw-8bit", "lamb", "lion", "muon", "adafactor"}
_MOMENTUM = {"sgd", "rmsprop", "lars", "muon"}


_BETWEEN = ("linear", "cosine", "polynomial")
_FACTOR = 0.1
_OF_DECAYS: Mapping[str, tuple[tuple[str, ...], object]] = {
    "decay_length": (("wsd", "inverse-sqrt"), None),
    "decay_shape": (("wsd",), "linear"),
    "decay_power": (("polynomial",), 1.0),
    "decay_starts": ((*_BETWEEN, "inverse-sqrt"), None),
    "decay_ends": ((*_BETWEEN, "wsd"), None),
    "decay_at": ((*_BETWEEN, "inverse-sqrt", "wsd", "step"), ()),
    "final_learning_rate_ratio": ((*_BETWEEN, "inverse-sqrt", "wsd"), 0.0),
}
"""Keys of a schedule with the decays that read them, and their defaults."""


class _Idle(NamedTuple):
    path: str
    value: object
    because: str


def no_effect(recipe: Recipe) -> tuple[Problem, ...]:
    """A warning for each written value that nothing reads."""
    parts = (_of_schedule, _of_optimizer, _of_reference, _of_scaling, _of_data_parallel, _of_launch)
    found = [idle for part in parts for idle in part(recipe)]
    return tuple(
        Problem(
            code="no-effect",
            severity="warning",
            path=idle.path,
            message=f"`{idle.path}: {as_yaml(idle.value)}` changes nothing: {idle.because}",
            hint=f"drop {idle.path}",
        )
        for idle in found
    )


def _of_schedule(recipe: Recipe) -> Iterator[_Idle]:
    schedule, optimizer = recipe.schedule, recipe.optimizer
    decay = f"schedule.decay is {schedule.decay}"
    for name, (shapes, default) in _OF_DECAYS.items():
        value = getattr(schedule, name)
        if value != default and schedule.decay not in shapes:
            because = f"{decay}, not {shapes[0]}" if len(shapes) == 1 else decay
            yield _Idle(f"schedule.{name}", value, because)
    if schedule.decay_factor != _FACTOR and not schedule.decay_at and schedule.decay != "step":
        yield _Idle("schedule.decay_factor", schedule.decay_factor, "schedule.decay_at is absent")
    has_reference = optimizer.reference_batch_size is not None or optimizer.reference_batch_tokens is not None
    if schedule.warmup_keeps != "unit" and schedule.warmup == "auto":
        yield _Idle(
            "schedule.warmup_keeps", schedule.warmup_keeps, "schedule.warmup: auto is made for this batch"
        )
    elif schedule.warmup_keeps != "unit" and not has_reference:
        yield _Idle("schedule.warmup_keeps", schedule.warmup_keeps, "no reference batch is written")


def _of_optimizer(recipe: Recipe) -> Iterator[_Idle]:
    optimizer = recipe.optimizer
    named = f"optimizer.name is {optimizer.name}"
    if optimizer.betas is not None and optimizer.name not in _BETAS:
        yield _Idle("optimizer.betas", optimizer.betas, named)
    if optimizer.momentum is not None and optimizer.name not in _MOMENTUM:
        yield _Idle("optimizer.momentum", optimizer.momentum, named)
    if optimizer.nesterov and optimizer.name not in _MOMENTUM:
        yield _Idle("optimizer.nesterov", True, named)


def _of_reference(recipe: Recipe) -> Iterator[_Idle]:
    optimizer, named = recipe.optimizer, f"optimizer.name is {recipe.optimizer.name}"
    rescale = optimizer.rescale
    no_batch = optimizer.reference_batch_size is None and optimizer.reference_batch_tokens is None
    if optimizer.reference_sequence_length is not None and no_batch:
        because = "no reference batch is written"
        yield _Idle("optimizer.reference_sequence_length", optimizer.reference_sequence_length, because)
    if rescale.betas != "none" and optimizer.name not in SECOND_MOMENT:
        yield _Idle("optimizer.rescale.betas", rescale.betas, named)
    if rescale.weight_decay != "none" and optimizer.name not in DECOUPLED:
        yield _Idle("optimizer.rescale.weight_decay", rescale.weight_decay, named)
    elif rescale.weight_decay != "none" and not optimizer.weight_decay:
        yield _Idle("optimizer.rescale.weight_decay", rescale.weight_decay, "optimizer.weight_decay is 0")


def _of_scaling(recipe: Recipe) -> Iterator[_Idle]:
    optimizer = recipe.optimizer
    scaling = optimizer.scaling
    if scaling != "auto" and optimizer.reference_learning_rate is None:
        path = "optimizer.scaling.rule" if isinstance(scaling, Scaling) else "optimizer.scaling"
        rule = scaling.rule if isinstance(scaling, Scaling) else scaling
        yield _Idle(path, rule, "only a reference_learning_rate is scaled, and none is written")
    if isinstance(scaling, Scaling) and scaling.rule not in {"capped", "saturating"}:
        because = f"the {scaling.rule} rule has no parameters"
        if scaling.alpha is not None:
            yield _Idle("optimizer.scaling.alpha", scaling.alpha, because)
        if scaling.critical_batch_tokens is not None:
            yield _Idle("optimizer.scaling.critical_batch_tokens", scaling.critical_batch_tokens, because)


def _of_data_parallel(recipe: Recipe) -> Iterator[_Idle]:
    data = recipe.parallel.data if isinstance(recipe.parallel, Parallel) else DataParallel()
    strategy = f"parallel.data.strategy is {data.strategy}"
    if data.stage is not None and data.strategy == "ddp":
        yield _Idle("parallel.data.stage", data.stage, strategy)
    if data.offload != "none" and data.strategy != "zero":
        yield _Idle("parallel.data.offload", data.offload, strategy)
    if data.version is not None and data.strategy != "fsdp":
        yield _Idle("parallel.data.version", data.version, strategy)


def _of_launch(recipe: Recipe) -> Iterator[_Idle]:
    """What only a scheduler reads; another package's executor may read anything."""
    launch = recipe.launch
    submits = launch.executor not in {"local", "ssh", "kubernetes"}
    because = f"launch.executor is {launch.executor}"
    for name in ("partition", "account", "constraint", "time", "signal", "requeue", "array", "extra"):
        value = getattr(launch.slurm, name) if launch.slurm is not None else None
        if not submits and value and (name, value) != ("array", 1):
            yield _Idle(f"launch.slurm.{name}", value, because)
    if launch.template is not None and launch.executor in {"local", "ssh"}:
        yield _Idle("launch.template", launch.template, because)
