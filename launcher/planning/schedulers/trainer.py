"""Hugging Face's Trainer: its arguments, and the schedule that it makes of them and steps itself.

It does not let Accelerate prepare its schedule, so the number of processes changes nothing; a step that is skipped for
overflow does not advance it.

Source: transformers@5.23.0 trainer.py:Trainer.create_scheduler, _inner_training_loop; training_args.py.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from launcher.planning.schedulers.numbers import is_length
from launcher.planning.schedulers.transformers import Lengths

__all__ = ["ARGUMENTS", "arguments_for", "lengths_of", "wrong_arguments"]

ARGUMENTS = ("lr_scheduler_type", "warmup_steps", "max_steps", "lr_scheduler_kwargs")


def arguments_for(name: str, lengths: Lengths) -> dict[str, Any]:
    """TrainingArguments for a schedule: the warmup as an integer, which version 4 and version 5 read alike.

    A run without an end has no max_steps here.
    """
    given: dict[str, Any] = {"lr_scheduler_type": name, "warmup_steps": lengths.warmup}
    if lengths.total is not None:
        given["max_steps"] = lengths.total
    return {**given, "lr_scheduler_kwargs": dict(lengths.specific)}


def lengths_of(arguments: Mapping[str, Any]) -> Lengths:
    """What the Trainer hands to get_scheduler; a warmup below 1 is a share of the run, rounded up.

    Source: transformers@5.23.0 training_args.py:TrainingArguments.get_warmup_steps.
    """
    written, total = arguments.get("warmup_steps") or 0, arguments.get("max_steps")
    warmup = int(written) if written >= 1 else math.ceil((total or 0) * written)
    return Lengths(warmup, total, arguments.get("lr_scheduler_kwargs") or {})


def wrong_arguments(arguments: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Arguments of the Trainer that have nothing to do with its schedule, or no longer exist."""
    whole = arguments.get("max_steps", 1)
    if not isinstance(whole, int) or not is_length(whole) or whole < 1:
        return [("max_steps", "expected an integer above 0")]
    words = {"warmup_ratio": "version 5 has none; write warmup_steps as an integer, which both versions read"}
    return [
        (key, words.get(key, f"expected one of {', '.join(ARGUMENTS)}"))
        for key in arguments
        if key not in ARGUMENTS
    ]
