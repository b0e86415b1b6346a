"""DeepSpeed's schedulers: what they are given, and the rate they give to every optimizer step.

The engine advances its scheduler once in each optimizer step that is not skipped, whatever the accumulation and the
number of ranks.

Source: deepspeed@0.19.8 runtime/lr_schedules.py, runtime/engine.py:DeepSpeedEngine._take_model_step.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from launcher.planning.schedulers.numbers import is_number

__all__ = ["DEFAULTS", "LAG", "LENGTH_AT_LEAST", "deepspeed_rate", "with_defaults", "wrong_arguments"]

LAG = 2
"""Steps behind: built at iteration -1 and advanced after the optimizer, it trains step k at iteration k - 2."""
LENGTH_AT_LEAST = 2
"""A warmup of one step is taken for two."""

_SHARED = {"warmup_num_steps": 1000, "warmup_type": "log"}
DEFAULTS: Mapping[str, Mapping[str, Any]] = {
    "WarmupLR": {"warmup_min_lr": 0.0, "warmup_max_lr": None, **_SHARED},
    "WarmupDecayLR": {"total_num_steps": None, "warmup_min_lr": 0.0, "warmup_max_lr": 0.001, **_SHARED},
    "WarmupCosineLR": {"total_num_steps": None, "warmup_min_ratio": 0.0, **_SHARED, "cos_min_ratio": 0.0001},
}
"""Arguments of each scheduler and what DeepSpeed takes where one is not given; None: it must be, or is the peak."""

_TYPES = ("linear", "log")


def with_defaults(name: str, arguments: Mapping[str, Any], *, peak: float) -> dict[str, Any]:
    """Every argument, DeepSpeed's own defaults where one is not given. peak: the optimizer's rate, a default too."""
    filled = {**DEFAULTS[name], **arguments}
    if filled.get("warmup_max_lr", 0.0) is None:
        filled["warmup_max_lr"] = peak
    return filled


def wrong_arguments(name: str, arguments: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Argument and what is wrong with it, where DeepSpeed would stop or take something else in silence."""
    found = []
    for key, value in arguments.items():
        if key not in DEFAULTS[name]:
            found.append((key, f"{name} takes {', '.join(DEFAULTS[name])}"))
        elif key == "warmup_type":
            if value not in _TYPES:
                found.append((key, "DeepSpeed knows linear and log, and takes any other word for log"))
        elif not is_number(value):
            found.append((key, "expected a number"))
        elif key.endswith("num_steps") and (not isinstance(value, int) or value < 1):
            found.append((key, "DeepSpeed takes an integer above 0"))
    if "total_num_steps" in DEFAULTS[name] and arguments.get("total_num_steps") is None:
        found.append(("total_num_steps", f"{name} needs it"))
    return found


def deepspeed_rate(name: str, arguments: Mapping[str, Any], *, peak: float, step: int) -> float:
    """Learning rate of optimizer step k, from 1. arguments: all of them; peak: the optimizer's own rate.

    Checked: equal to the three classes, LR by LR (tests/stacks/test_compiled_rates.py).
    """
    iteration = step - LAG
    if name == "WarmupCosineLR":
        return peak * _cosine_ratio(arguments, iteration)
    least, most = arguments["warmup_min_lr"], arguments["warmup_max_lr"]
    if iteration < 0:
        return float(least)
    return float(least + (most - least) * _gamma(arguments, iteration))


def _warm(arguments: Mapping[str, Any], iteration: int) -> float | None:
    """Share of the warmup's way at an iteration; None once it is over."""
    length = max(LENGTH_AT_LEAST, arguments["warmup_num_steps"])
    if iteration >= length:
        return None
    if arguments["warmup_type"] == "linear":
        return float(iteration / length)
    return (1.0 / math.log(length)) * math.log(iteration + 1)


def _gamma(arguments: Mapping[str, Any], iteration: int) -> float:
    """WarmupLR and, with a total, WarmupDecayLR."""
    warm = _warm(arguments, iteration)
    if warm is not None:
        return warm
    total = arguments.get("total_num_steps")
    if total is None:
        return 1.0
    length = max(LENGTH_AT_LEAST, arguments["warmup_num_steps"])
    return max(0.0, float(total - iteration) / float(max(1.0, total - length)))


def _cosine_ratio(arguments: Mapping[str, Any], iteration: int) -> float:
    """Share of the optimizer's rate; the first step is at 0 whatever warmup_min_ratio says."""
    if iteration < 0:
        return 0.0
    warm = _warm(arguments, iteration)
    if warm is not None:
        least = float(arguments["warmup_min_ratio"])
        return least + warm * (1.0 - least)
    length = max(LENGTH_AT_LEAST, arguments["warmup_num_steps"])
    progress = min(1.0, (iteration - length + 1) / max(1, arguments["total_num_steps"] - length))
    least = float(arguments["cos_min_ratio"])
    return max(0.0, least + (1.0 - least) * ((1 + math.cos(math.pi * progress)) / 2))
