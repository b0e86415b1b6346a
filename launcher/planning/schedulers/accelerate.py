"""What Accelerate does to a schedule: a prepared one is advanced once per process, a DummyScheduler's total is divided.

Neither is told of accumulation, and a step that is skipped for overflow advances nothing.

Source: accelerate@1.15.0 scheduler.py:AcceleratedScheduler.step, accelerator.py:Accelerator._prepare_deepspeed.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from launcher.planning.conventions import accelerate_dummy_lengths
from launcher.planning.schedulers.transformers import Lengths

__all__ = ["DUMMY", "SPLIT", "calls_per_step", "from_dummy", "lengthened", "to_dummy"]

SPLIT = "split_batches"
"""The argument of Accelerate's DataLoaderConfiguration with which a prepared schedule is advanced once a step."""
DUMMY = ("total_num_steps", "warmup_num_steps")
"""Arguments of a DummyScheduler."""


def calls_per_step(*, processes: int, split_batches: bool) -> int:
    """How often a prepared schedule is advanced in one optimizer step."""
    return 1 if split_batches else processes


def lengthened(lengths: Lengths, *, calls: int) -> Lengths:
    """The lengths of a schedule that is to be prepared: optimizer steps times calls."""
    specific = {
        key: value * calls if key in {"num_decay_steps", "num_stable_steps", "timescale"} and value else value
        for key, value in lengths.specific.items()
    }
    return Lengths(lengths.warmup * calls, None if lengths.total is None else lengths.total * calls, specific)


def to_dummy(arguments: Mapping[str, Any], *, calls: int) -> dict[str, Any]:
    """What the script gives a DummyScheduler for these lengths of DeepSpeed: total times processes, warmup not."""
    given = {"warmup_num_steps": arguments["warmup_num_steps"]}
    total = arguments.get("total_num_steps")
    return given if total is None else {"total_num_steps": total * calls, **given}


def from_dummy(given: Mapping[str, Any], *, calls: int) -> dict[str, Any]:
    """DeepSpeed's lengths where "auto" stands, of what a script gives a DummyScheduler."""
    total, warmup = given.get("total_num_steps"), given.get("warmup_num_steps", 0)
    lengths = accelerate_dummy_lengths(
        total_steps=total or 0, warmup_steps=warmup, num_processes=calls, split_batches=calls == 1
    )
    found = {"warmup_num_steps": lengths[1]}
    return found if total is None else {"total_num_steps": lengths[0], **found}
