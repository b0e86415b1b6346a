"""Optimizer and scheduler of a DeepSpeed JSON in the words of a recipe.

Source: deepspeed@0.19.8 runtime/engine.py:_configure_basic_optimizer, runtime/lr_schedules.py.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from launcher.engines.foreign.notes import AUTO, Notes
from launcher.planning.schedulers.deepspeed import DEFAULTS

__all__ = ["read_optimizer", "read_scheduler"]

_NAMES = {
    "adam": "adamw",  # unless adam_w_mode is false
    "adamw": "adamw",
    "lion": "lion",
    "rmsprop": "rmsprop",
    "sgd": "sgd",
    "lamb": "lamb",
    "adagrad": "",
    "onebitadam": "",
    "onebitlamb": "",
    "zerooneadam": "",
    "muon": "muon",
}
_RENDERED = ("adam", "adamw", "lion", "rmsprop", "sgd")
_PARAMS = {
    "lr": "learning_rate",
    "betas": "betas",
    "eps": "epsilon",
    "weight_decay": "weight_decay",
    "momentum": "momentum",
    "nesterov": "nesterov",
}
_HOW = ("adam_w_mode", "torch_adam", "alpha")
_FILLED = "left for the Trainer or Accelerate to fill in"
_REFERENCE = "as tuned at another batch and scaled, or as written"
_UNIT = "DeepSpeed counts steps; a recipe may have said samples, tokens, epochs or %"
_DECAYS = {"WarmupLR": "constant", "WarmupDecayLR": "linear", "WarmupCosineLR": "cosine"}


def read_optimizer(block: Any, notes: Notes) -> None:
    """Name and every parameter; without a block the script builds its own."""
    if not isinstance(block, Mapping):
        notes.settle("optimizer.owner", "no optimizer block")
        return
    written = str(block.get("type", ""))
    params = block.get("params")
    params = params if isinstance(params, Mapping) else {}
    name = _NAMES.get(written.lower(), "")
    if name == "adamw" and params.get("adam_w_mode") is False:
        name = "adam"
    if not name:
        hint = "write optimizer.name, and build it in the script"
        notes.drop("optimizer.type", written, "a recipe does not know this optimizer", hint)
        return
    notes.carry("optimizer.name", name, "optimizer.type")
    if name in _RENDERED:
        notes.carry("optimizer.owner", "engine", "optimizer")
    else:
        hint = "build it in the script: owner: script"
        notes.drop("optimizer", written, "Batchwright does not render this optimizer for DeepSpeed", hint)
    for key, value in params.items():
        _parameter(key, value, notes)


def _parameter(key: str, value: Any, notes: Notes) -> None:
    where = f"optimizer.params.{key}"
    path = f"optimizer.{_PARAMS.get(key, '')}"
    if value == AUTO:
        notes.drop(where, value, _FILLED, f"write {path}" if key in _PARAMS else "leave it out")
    elif key == "lr":
        _rate(value, where, notes)
    elif key in _PARAMS:
        if value in (0, False) and key in ("momentum", "nesterov", "weight_decay"):
            notes.settle(path, where)
        else:
            notes.carry(path, value, where)
    elif key not in _HOW:
        notes.drop(
            where, value, "a recipe has no word for it", "build the optimizer in the script: owner: script"
        )


def _rate(value: Any, key: str, notes: Notes) -> None:
    """The peak; in a plan it may have come of a rate tuned at another batch."""
    path = "optimizer.learning_rate"
    notes.carry(path, value, key)
    for other in ("reference_learning_rate", "reference_batch_size", "reference_batch_tokens"):
        notes.settle(f"optimizer.{other}", key, unsure=_REFERENCE, instead_of=(path,))


def read_scheduler(block: Any, notes: Notes) -> None:
    """DeepSpeed's own schedule; without one somebody else's."""
    if not isinstance(block, Mapping):
        return
    name, params = str(block.get("type", "")), block.get("params")
    params = dict(params) if isinstance(params, Mapping) else {}
    if name not in DEFAULTS:
        hint = f"write schedule with owner: runtime, or one of {', '.join(DEFAULTS)}"
        notes.drop("scheduler.type", name, "its curve cannot be known beforehand", hint)
        return
    notes.carry("schedule.owner", f"engine:{name}", "scheduler.type")
    notes.carry("schedule.decay", _DECAYS[name], "scheduler.type")
    notes.settle("launch.native.deepspeed.scheduler", "scheduler", unsure="it may have been written there")
    autos = {key for key, value in params.items() if value == AUTO}
    for key in sorted(autos):
        notes.drop(
            f"scheduler.params.{key}", params.pop(key), _FILLED, f"write {_AUTO_HINTS.get(key, 'schedule')}"
        )
    _lengths(name, params, notes, autos)
    _levels(name, params, notes)
    known = {"warmup_num_steps", "warmup_type", "total_num_steps", "warmup_min_lr", "warmup_max_lr", "cos_min_ratio",
             "warmup_min_ratio"}  # fmt: skip
    for key in params.keys() - known:
        notes.drop(f"scheduler.params.{key}", params[key], f"{name} has no such parameter", "leave it out")


_AUTO_HINTS = {
    "warmup_num_steps": "schedule.warmup",
    "total_num_steps": "schedule.length",
    "warmup_max_lr": "optimizer.learning_rate",
    "warmup_min_lr": "schedule.final_learning_rate_ratio, or leave it at 0",
}


def _lengths(name: str, params: Mapping[str, Any], notes: Notes, autos: set[str]) -> None:
    where = "scheduler.params."
    steps = params.get("warmup_num_steps", DEFAULTS[name]["warmup_num_steps"])
    said = "warmup_num_steps" if "warmup_num_steps" in params else f"warmup_num_steps, {name}'s own default"
    flat = params.get("warmup_min_lr") is not None and params.get("warmup_min_lr") == params.get(
        "warmup_max_lr"
    )
    if flat:
        notes.settle("schedule.warmup", f"{where}warmup_min_lr", unsure=_UNIT)
    elif "warmup_num_steps" not in autos:
        notes.carry("schedule.warmup", f"{steps} steps", f"{where}{said}", unsure=_UNIT)
    shape = params.get("warmup_type", "log")
    said = "warmup_type" if "warmup_type" in params else f"warmup_type, {name}'s own default"
    if shape == "linear":
        notes.settle("schedule.warmup_shape", f"{where}{said}")
    else:
        notes.carry("schedule.warmup_shape", "log", f"{where}{said}")
    total = params.get("total_num_steps")
    if total is not None:
        notes.carry("schedule.length", f"{total} steps", f"{where}total_num_steps", unsure=_UNIT)


def _levels(name: str, params: Mapping[str, Any], notes: Notes) -> None:
    """Where the rate begins, peaks and ends."""
    where = "scheduler.params."
    peak, least = params.get("warmup_max_lr"), params.get("warmup_min_lr")
    rate = notes.says("optimizer.learning_rate")
    if peak is not None and rate is None:
        _rate(peak, f"{where}warmup_max_lr", notes)
        rate = peak
    elif peak is not None and peak != rate:
        notes.carry("schedule.arguments.warmup_max_lr", peak, f"{where}warmup_max_lr")
    if name == "WarmupCosineLR":
        ratio = params.get("cos_min_ratio", DEFAULTS[name]["cos_min_ratio"])
        said = "cos_min_ratio" if "cos_min_ratio" in params else f"cos_min_ratio, {name}'s own default"
        _ratio(ratio, f"{where}{said}", notes)
        if params.get("warmup_min_ratio"):
            notes.carry(
                "schedule.arguments.warmup_min_ratio", params["warmup_min_ratio"], f"{where}warmup_min_ratio"
            )
    elif name == "WarmupDecayLR":
        notes.settle("schedule.final_learning_rate_ratio", f"{where}warmup_min_lr")
        if least:
            notes.carry("schedule.arguments.warmup_min_lr", least, f"{where}warmup_min_lr")
    elif least and least != peak:
        notes.carry("schedule.arguments.warmup_min_lr", least, f"{where}warmup_min_lr")


def _ratio(ratio: Any, key: str, notes: Notes) -> None:
    if ratio == 0:
        notes.settle("schedule.final_learning_rate_ratio", key)
    else:
        notes.carry("schedule.final_learning_rate_ratio", ratio, key)
