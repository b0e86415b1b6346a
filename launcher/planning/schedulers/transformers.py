"""Hugging Face's schedules: what get_scheduler is given, and the share of the peak after a number of its steps.

A script that steps the optimizer and then the schedule trains step k at the share of index k - 1.

Source: transformers@5.23.0 optimization.py:get_scheduler and the lambda of each schedule.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from launcher.planning.schedulers.numbers import is_length

__all__ = ["SPECIFIC", "Lengths", "lengths_of", "scheduler_share", "wrong_arguments"]


class Lengths(NamedTuple):
    """What a schedule is made of: lengths in its own steps, and the arguments that only it has."""

    warmup: float
    total: float | None
    specific: Mapping[str, Any]


_COSINE = {"num_cycles": 0.5}
SPECIFIC: Mapping[str, Mapping[str, Any]] = {
    "constant": {},
    "constant_with_warmup": {},
    "linear": {},
    "cosine": _COSINE,
    "cosine_with_restarts": {"num_cycles": 1},
    "polynomial": {"lr_end": 1e-7, "power": 1.0},
    "inverse_sqrt": {"timescale": None},
    "cosine_with_min_lr": {**_COSINE, "min_lr": None, "min_lr_rate": None},
    "cosine_warmup_with_min_lr": {**_COSINE, "min_lr": None, "min_lr_rate": None, "warmup_lr_rate": None},
    "warmup_stable_decay": {
        **_COSINE,
        "num_decay_steps": None,
        "num_stable_steps": None,
        "warmup_type": "linear",
        "decay_type": "cosine",
        "min_lr_ratio": 0.0,
    },
}
"""Names whose rate is a function of the step, with the arguments that only they have and their defaults."""

_ENDLESS = {"constant", "constant_with_warmup", "inverse_sqrt"}
_SHAPES = ("linear", "cosine", "1-sqrt")


def lengths_of(arguments: Mapping[str, Any]) -> Lengths:
    """What get_scheduler is given, by its names."""
    specific = arguments.get("scheduler_specific_kwargs") or {}
    return Lengths(arguments.get("num_warmup_steps") or 0, arguments.get("num_training_steps"), specific)


def wrong_arguments(name: str, lengths: Lengths, *, peak: float) -> list[tuple[str, str]]:
    """Argument and what is wrong with it, where the schedule would refuse it or could not be made."""
    known, given = SPECIFIC[name], lengths.specific
    found = [(key, f"{name} does not take it") for key in given if key not in known]
    found += [(key, "expected one of " + ", ".join(_SHAPES)) for key in _unknown_shapes(given)]
    found += [(key, "expected a number of 0 or more") for key in _no_lengths(given)]
    if found:
        return found
    if name not in _ENDLESS and lengths.total is None and given.get("num_stable_steps") is None:
        found.append(("num_training_steps", f"{name} needs it"))
    if name.endswith("with_min_lr") and (given.get("min_lr") is None) == (given.get("min_lr_rate") is None):
        found.append(("min_lr_rate", f"{name} needs either min_lr or min_lr_rate"))
    if name == "warmup_stable_decay" and given.get("num_decay_steps") is None:
        found.append(("num_decay_steps", f"{name} needs it"))
    if name == "polynomial" and not given.get("lr_end", known["lr_end"]) < peak:
        found.append(("lr_end", f"it must be smaller than the peak, {peak:g}"))
    if name == "polynomial" and lengths.total is not None and lengths.total <= lengths.warmup:
        found.append(("num_training_steps", "it must be more than the warmup"))
    return found


def scheduler_share(name: str, lengths: Lengths, *, peak: float, index: int) -> float:
    """Share of the peak once the schedule has been advanced `index` times, dimensionless.

    Checked: equal to get_scheduler's schedules, LR by LR (tests/stacks/test_compiled_rates.py).
    """
    given = {**SPECIFIC[name], **lengths.specific}
    if name == "constant":
        return 1.0
    if name == "warmup_stable_decay":
        return _stable(lengths, given, index)
    if name == "cosine_warmup_with_min_lr":
        return _cosine_from_the_first_step(lengths, given, index, peak)
    if index < lengths.warmup:
        return float(index) / float(max(1.0, lengths.warmup))
    return _AFTER[name](lengths, given, index, peak)


def _unknown_shapes(given: Mapping[str, Any]) -> list[str]:
    return [key for key in ("warmup_type", "decay_type") if given.get(key, "linear") not in _SHAPES]


def _no_lengths(given: Mapping[str, Any]) -> list[str]:
    """Arguments that are no numbers of 0 or more; a time scale is more than 0."""
    numbers = {key: value for key, value in given.items() if not key.endswith("_type") and value is not None}
    return [key for key, value in numbers.items() if not is_length(value) or (key, value) == ("timescale", 0)]


def _progress(lengths: Lengths, index: float) -> float:
    assert lengths.total is not None
    return float(index - lengths.warmup) / float(max(1.0, lengths.total - lengths.warmup))


def _constant(_lengths: Lengths, _given: Mapping[str, Any], _index: int, _peak: float) -> float:
    return 1.0


def _linear(lengths: Lengths, _given: Mapping[str, Any], index: int, _peak: float) -> float:
    assert lengths.total is not None
    return max(0.0, float(lengths.total - index) / float(max(1, lengths.total - lengths.warmup)))


def _cosine(lengths: Lengths, given: Mapping[str, Any], index: int, _peak: float) -> float:
    waves = float(given["num_cycles"]) * 2.0
    return max(0.0, 0.5 * (1.0 + math.cos(math.pi * waves * _progress(lengths, index))))


def _restarts(lengths: Lengths, given: Mapping[str, Any], index: int, _peak: float) -> float:
    progress = _progress(lengths, index)
    if progress >= 1.0:
        return 0.0
    return max(0.0, 0.5 * (1.0 + math.cos(math.pi * ((float(given["num_cycles"]) * progress) % 1.0))))


def _polynomial(lengths: Lengths, given: Mapping[str, Any], index: int, peak: float) -> float:
    assert lengths.total is not None
    end: float = given["lr_end"]
    if index > lengths.total:
        return end / peak
    left = 1 - (index - lengths.warmup) / (lengths.total - lengths.warmup)
    return float(((peak - end) * left ** given["power"] + end) / peak)


def _inverse_root(lengths: Lengths, given: Mapping[str, Any], index: int, _peak: float) -> float:
    scale = given["timescale"] or lengths.warmup or 10_000
    return 1.0 / math.sqrt((index + scale - lengths.warmup) / scale)


def _least(given: Mapping[str, Any], peak: float) -> float:
    """The floor as a share of the peak; 0 where a schedule has none."""
    if given.get("min_lr") is not None:
        return float(given["min_lr"] / peak)
    return float(given.get("min_lr_rate") or 0.0)


def _cosine_to_a_floor(lengths: Lengths, given: Mapping[str, Any], index: int, peak: float) -> float:
    waves, least = float(given["num_cycles"]) * 2.0, _least(given, peak)
    share = 0.5 * (1.0 + math.cos(math.pi * waves * _progress(lengths, index)))
    return max(0.0, share * (1 - least) + least)


def _cosine_from_the_first_step(lengths: Lengths, given: Mapping[str, Any], index: int, peak: float) -> float:
    """One step earlier than all the others: its first step is not at 0."""
    if index < lengths.warmup:
        start = given["warmup_lr_rate"]
        if start is None:
            return (index + 1.0) / max(1.0, lengths.warmup)
        return float(start + (1.0 - start) * index / max(1, lengths.warmup - 1))
    return _cosine_to_a_floor(lengths, given, index + 1, peak)


def _stable(lengths: Lengths, given: Mapping[str, Any], index: int) -> float:
    """Warmup from the floor, a plateau, a decay to the floor."""
    least, warmup, decay = float(given["min_lr_ratio"]), lengths.warmup, given["num_decay_steps"]
    stable = given["num_stable_steps"]
    if stable is None:
        assert lengths.total is not None
        stable = lengths.total - warmup - decay
    if index < warmup:
        share = _rising(given["warmup_type"], float(index) / float(max(1, warmup)))
    elif index < warmup + stable:
        return 1.0
    elif index < warmup + stable + decay:
        progress = float(index - warmup - stable) / float(max(1, decay))
        share = _falling(given["decay_type"], progress, float(given["num_cycles"]))
    else:
        return least
    return max(0.0, share * (1.0 - least) + least)


def _rising(shape: str, progress: float) -> float:
    if shape == "cosine":
        return 0.5 * (1.0 - math.cos(math.pi * progress))
    return 1.0 - math.sqrt(1.0 - progress) if shape == "1-sqrt" else progress


def _falling(shape: str, progress: float, cycles: float) -> float:
    if shape == "cosine":
        return 0.5 * (1.0 + math.cos(math.pi * cycles * 2.0 * progress))
    return 1.0 - math.sqrt(progress) if shape == "1-sqrt" else 1.0 - progress


_AFTER: Mapping[str, Callable[[Lengths, Mapping[str, Any], int, float], float]] = {
    "constant_with_warmup": _constant,
    "linear": _linear,
    "cosine": _cosine,
    "cosine_with_restarts": _restarts,
    "polynomial": _polynomial,
    "inverse_sqrt": _inverse_root,
    "cosine_with_min_lr": _cosine_to_a_floor,
}
