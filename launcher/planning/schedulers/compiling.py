"""A recipe's schedule in the words and units of the stack that is to own it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, NamedTuple

from launcher.planning.schedulers import trainer
from launcher.planning.schedulers.accelerate import calls_per_step, lengthened, to_dummy
from launcher.planning.schedulers.asked import Asked
from launcher.planning.schedulers.comparing import compare
from launcher.planning.schedulers.deepspeed import DEFAULTS, LENGTH_AT_LEAST
from launcher.planning.schedulers.drawing import lag_of
from launcher.planning.schedulers.transformers import Lengths
from launcher.spec.rates import CompiledSchedule

__all__ = ["OWNERS", "Site", "able_owners", "compiled_schedule", "get_scheduler_arguments", "is_compiled"]

Stack = Literal["deepspeed", "transformers", "trainer", "accelerate"]

OWNERS: Mapping[str, Stack] = {
    **{f"engine:{name}": "deepspeed" for name in DEFAULTS},
    "script:transformers": "transformers",
    "script:accelerate": "accelerate",
    "script:trainer": "trainer",
}
"""Owners that a schedule is compiled for. A bare `script` draws what it likes; the witness compares."""


class Site(NamedTuple):
    """Where the schedule is to run."""

    processes: int
    has_deepspeed: bool
    """Whether a DeepSpeed engine steps the optimizer."""
    by_accelerate: bool
    """Whether Accelerate makes that engine, and a DummyScheduler stands for its scheduler in the script."""
    has_runtime: bool = False


def is_compiled(owner: str) -> bool:
    """Whether an owner's curve is simulated."""
    return owner in OWNERS


def compiled_schedule(owner: str, asked: Asked, site: Site) -> CompiledSchedule | str:
    """What the owner is told; or why it has no such shape, in words that follow its name."""
    stack = OWNERS[owner]
    if stack == "deepspeed":
        name = owner.removeprefix("engine:")
        arguments = _for_deepspeed(name, asked)
        if isinstance(arguments, str):
            return arguments
        handed = to_dummy(arguments, calls=site.processes) if site.by_accelerate else {}
        return _compiled(stack, name, arguments, handed=handed, asked=asked)
    found = _for_hugging_face(asked)
    if isinstance(found, str):
        return found
    name, lengths = found
    if stack == "trainer" and lengths.total != asked.total_steps:
        return "ends its decay with the run, at max_steps, and `schedule.decay_ends` is another place"
    if stack == "trainer":
        return _compiled(stack, name, trainer.arguments_for(name, lengths), asked=asked)
    calls = calls_per_step(processes=site.processes, split_batches=False) if stack == "accelerate" else 1
    return _compiled(
        stack, name, get_scheduler_arguments(lengthened(lengths, calls=calls)), calls=calls, asked=asked
    )


def able_owners(asked: Asked, site: Site) -> list[str]:
    """Owners that would draw the asked curve here, the runtime first where it takes part."""
    engines = [owner for owner in OWNERS if OWNERS[owner] == "deepspeed"] if site.has_deepspeed else []
    found = ["runtime"] if site.has_runtime and not asked.is_log else []
    for owner in (*engines, "script:transformers", "script:accelerate", "script:trainer"):
        compiled = compiled_schedule(owner, asked, site)
        if isinstance(compiled, CompiledSchedule) and compare(compiled, asked).agrees:
            found.append(owner)
    return found


def get_scheduler_arguments(lengths: Lengths) -> dict[str, Any]:
    """Keyword arguments of transformers' get_scheduler, beside name and optimizer."""
    given: dict[str, Any] = {"num_warmup_steps": lengths.warmup}
    if lengths.total is not None:
        given["num_training_steps"] = lengths.total
    return {**given, "scheduler_specific_kwargs": dict(lengths.specific)}


def _compiled(
    stack: Stack,
    scheduler: str,
    arguments: Mapping[str, Any],
    *,
    asked: Asked,
    calls: int = 1,
    handed: Mapping[str, Any] | None = None,
) -> CompiledSchedule:
    behind = lag_of(stack=stack, scheduler=scheduler, calls_per_step=calls)
    own = 1 if asked.schedule.first_step == "zero" else 0
    return CompiledSchedule(
        stack=stack,
        scheduler=scheduler,
        arguments=arguments,
        handed=handed or {},
        calls_per_step=calls,
        lag_steps=behind - own,
    )


def _for_deepspeed(name: str, asked: Asked) -> dict[str, Any] | str:
    """Arguments of one of its schedulers, all of them."""
    decay, least = asked.decay, asked.schedule.start_learning_rate
    if asked.warmup_steps == 0:
        # it always warms up, over two steps at least; from the peak to the peak that is nothing
        least = asked.peak
    lengths: dict[str, Any] = {
        "warmup_num_steps": max(1, asked.warmup_steps),
        "warmup_type": asked.schedule.warmup_shape,
    }
    if asked.warmup_steps == 0:
        lengths["warmup_num_steps"] = LENGTH_AT_LEAST
    if name == "WarmupLR":
        if decay != "constant":
            return f"stays at its peak, and {asked.decay_in_words}"
        return {"warmup_min_lr": least, "warmup_max_lr": asked.peak, **lengths}
    shape = {"WarmupDecayLR": "linear", "WarmupCosineLR": "cosine"}[name]
    if decay != shape or asked.end_steps is None:
        return f"decays {'in a line' if shape == 'linear' else 'as a cosine'}, and {asked.decay_in_words}"
    total = {"total_num_steps": asked.end_steps}
    if name == "WarmupDecayLR":
        final = asked.schedule.final_learning_rate  # where it starts, too
        return {**total, "warmup_min_lr": final, "warmup_max_lr": asked.peak, **lengths}
    ratio = 0.0 if asked.warmup_steps == 0 else least / asked.peak
    return {**total, "warmup_min_ratio": ratio, **lengths, "cos_min_ratio": asked.final_ratio}


def _for_hugging_face(asked: Asked) -> tuple[str, Lengths] | str:
    """Name and lengths of the nearest of its schedules, in optimizer steps; or why there is none."""
    warmup, ratio = asked.warmup_steps, asked.final_ratio
    if asked.decay == "constant":
        name = "constant_with_warmup" if warmup else "constant"
        return name, Lengths(warmup, asked.total_steps, {})
    if asked.decay == "step":
        return f"has no rate that falls at marks, and {asked.decay_in_words}"
    if asked.decay == "inverse-sqrt":
        own = {} if asked.decay_steps == warmup else {"timescale": asked.decay_steps}
        return "inverse_sqrt", Lengths(warmup, asked.total_steps, own)
    specific: dict[str, Any] = {}
    if asked.decay == "wsd":
        shape = "1-sqrt" if asked.schedule.decay_shape == "sqrt" else asked.schedule.decay_shape
        specific = {"num_decay_steps": asked.decay_steps, "decay_type": shape, "min_lr_ratio": ratio}
        name = "warmup_stable_decay"
    elif asked.decay == "cosine":
        specific = {"min_lr_rate": ratio} if ratio else {}
        name = "cosine_with_min_lr" if ratio else "cosine"
    else:
        name = "polynomial" if ratio or asked.decay == "polynomial" else "linear"
        if name == "polynomial":
            specific = {
                "lr_end": asked.schedule.final_learning_rate,
                "power": asked.schedule.decay_power,
            }
    return name, Lengths(warmup, asked.end_steps, specific)
