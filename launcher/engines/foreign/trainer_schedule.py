"""The Trainer's learning rate schedule in the words of a recipe.

Source: transformers@5.23.0 optimization.py, training_args.py:TrainingArguments.get_warmup_steps.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from launcher.engines.foreign.notes import Notes

__all__ = ["read_schedule"]

_DECAYS = {
    "constant": "constant",
    "constant_with_warmup": "constant",
    "linear": "linear",
    "cosine": "cosine",
    "cosine_with_min_lr": "cosine",
    "warmup_stable_decay": "wsd",
    "polynomial": "polynomial",
    "inverse_sqrt": "inverse-sqrt",
}
_SHAPES = {"linear": "linear", "1-sqrt": "sqrt", "cosine": "cosine"}
_LR_END, _TIMESCALE = 1e-7, 10_000
"""Where polynomial ends, and what inverse_sqrt takes without a warmup. Source: transformers@5.23.0 optimization.py."""


def read_schedule(given: Mapping[str, Any], notes: Notes, mark: str) -> None:
    """Length, warmup, shape and owner."""
    _length(given, notes, mark)
    name = given.get("lr_scheduler_type")
    name = None if name is None else str(name).removeprefix("SchedulerType.").lower()
    if name is not None and name not in _DECAYS:
        hint = "write schedule.decay, or schedule.owner: script"
        notes.drop(
            f"{mark}lr_scheduler_type", name, "a recipe does not draw this curve for the Trainer", hint
        )
        notes.carry("schedule.owner", "script", f"{mark}lr_scheduler_type")
        return
    if notes.says("optimizer.learning_rate") is None:
        _warmup(given, notes, mark)
        return
    notes.carry("schedule.owner", "script:trainer", "the Trainer", is_default=True)
    if name == "constant":
        notes.settle("schedule.warmup", f"{mark}lr_scheduler_type")  # it warms up with the other name only
    else:
        _warmup(given, notes, mark)
    if name is None:
        notes.carry("schedule.decay", "linear", "the Trainer's default", is_default=True)
        return
    key = f"{mark}lr_scheduler_type"
    decay = _decay(name, given.get("lr_scheduler_kwargs"))
    if decay == "constant":
        notes.settle("schedule.decay", key)
    else:
        notes.carry("schedule.decay", decay, key)
    _special(name, given.get("lr_scheduler_kwargs"), notes, f"{mark}lr_scheduler_kwargs")


def _length(given: Mapping[str, Any], notes: Notes, mark: str) -> None:
    steps, epochs = given.get("max_steps"), given.get("num_train_epochs")
    if isinstance(steps, int) and steps > 0:
        notes.carry("schedule.length", f"{steps} steps", f"{mark}max_steps")
    elif isinstance(epochs, int | float) and epochs > 0:
        notes.carry(
            "schedule.length", f"{epochs:g} epoch{'s' if epochs != 1 else ''}", f"{mark}num_train_epochs"
        )


def _warmup(given: Mapping[str, Any], notes: Notes, mark: str) -> None:
    """Steps count before the share, which version 5 writes as warmup_steps below 1."""
    steps, ratio = given.get("warmup_steps"), given.get("warmup_ratio")
    if isinstance(steps, int | float) and steps >= 1:
        notes.carry("schedule.warmup", f"{int(steps)} steps", f"{mark}warmup_steps")
        return
    key = f"{mark}warmup_ratio"
    if isinstance(steps, float) and 0 < steps < 1:
        ratio, key = steps, f"{mark}warmup_steps"
    if isinstance(ratio, int | float) and 0 < ratio < 1:
        notes.carry("schedule.warmup", f"{_percent(ratio)} %", key)
    elif steps == 0:
        notes.settle("schedule.warmup", f"{mark}warmup_steps")


def _percent(share: float) -> str:
    """Without the noise of binary fractions: 0.03 is 3."""
    return f"{share * 100:.10g}"


def _special(name: str, written: Any, notes: Notes, key: str) -> None:
    kwargs = dict(written) if isinstance(written, Mapping) else {}
    path = "schedule.final_learning_rate_ratio"
    if name == "cosine_with_min_lr":
        peak = notes.says("optimizer.learning_rate")
        if isinstance(kwargs.get("min_lr_rate"), int | float):
            notes.carry(path, kwargs.pop("min_lr_rate"), f"{key}.min_lr_rate")
        elif isinstance(kwargs.get("min_lr"), int | float) and isinstance(peak, int | float) and peak:
            least = kwargs.pop("min_lr")
            notes.carry(
                path, float(f"{least / peak:.12g}"), f"{key}.min_lr / learning_rate: {least:g} / {peak:g}"
            )
    elif name == "warmup_stable_decay":
        if isinstance(kwargs.get("num_decay_steps"), int):
            notes.carry(
                "schedule.decay_length", f"{kwargs.pop('num_decay_steps')} steps", f"{key}.num_decay_steps"
            )
        if isinstance(kwargs.get("min_lr_ratio"), int | float):
            notes.carry(path, kwargs.pop("min_lr_ratio"), f"{key}.min_lr_ratio")
        shape = kwargs.get("decay_type", "cosine")  # its own default
        if shape in _SHAPES:
            kwargs.pop("decay_type", None)
            notes.carry("schedule.decay_shape", _SHAPES[shape], f"{key}.decay_type")
    elif name == "polynomial":
        _polynomial(kwargs, notes, key)
    elif name == "inverse_sqrt":
        scale = kwargs.pop("timescale", None) or (None if notes.says("schedule.warmup") else _TIMESCALE)
        if scale is not None:
            notes.carry("schedule.decay_length", f"{scale} steps", f"{key}.timescale")
    for name_, value in kwargs.items():
        notes.carry(f"schedule.arguments.lr_scheduler_kwargs.{name_}", value, f"{key}.{name_}")


def _decay(name: str, kwargs: Any) -> str:
    """The shape in a recipe's word: a polynomial of power 1 is a line."""
    power = kwargs.get("power", 1.0) if isinstance(kwargs, Mapping) else 1.0
    return "linear" if name == "polynomial" and power == 1 else _DECAYS[name]


def _polynomial(kwargs: dict[str, Any], notes: Notes, key: str) -> None:
    peak, end = notes.says("optimizer.learning_rate"), kwargs.get("lr_end", _LR_END)
    if isinstance(kwargs.get("power"), int | float):
        power = kwargs.pop("power")
        if power != 1:
            notes.carry("schedule.decay_power", float(power), f"{key}.power")
    if isinstance(end, int | float) and isinstance(peak, int | float) and peak:
        kwargs.pop("lr_end", None)
        if end:
            source = f"{key}.lr_end / learning_rate: {end:g} / {peak:g}"
            notes.carry("schedule.final_learning_rate_ratio", float(f"{end / peak:.12g}"), source)
