"""What a recipe hands to the owner's stack itself, in that stack's names, over what was compiled."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, NamedTuple

from launcher.planning.schedulers import deepspeed, trainer, transformers
from launcher.planning.schedulers.accelerate import DUMMY, SPLIT, calls_per_step, from_dummy
from launcher.planning.schedulers.compiling import Site, get_scheduler_arguments
from launcher.planning.schedulers.drawing import lag_of, lengths_given
from launcher.planning.schedulers.numbers import is_length
from launcher.planning.schedulers.transformers import Lengths
from launcher.spec.rates import CompiledSchedule

__all__ = ["AUTO", "Given", "with_arguments", "with_block"]

AUTO = "auto"
_NAME = {"transformers": "name", "accelerate": "name", "trainer": "lr_scheduler_type"}
_KWARGS = {
    "transformers": "scheduler_specific_kwargs",
    "accelerate": "scheduler_specific_kwargs",
    "trainer": "lr_scheduler_kwargs",
}
_GET_SCHEDULER = ("name", "num_warmup_steps", "num_training_steps", "scheduler_specific_kwargs")


class Given(NamedTuple):
    """A compiled schedule with what was handed to the stack, and the arguments that it would not take."""

    compiled: CompiledSchedule
    wrong: list[tuple[str, str]]


def with_arguments(
    compiled: CompiledSchedule, written: Mapping[str, Any], *, peak: float, site: Site
) -> Given:
    """`schedule.arguments` over the compiled ones, key by key, as the stack would take them."""
    if compiled.stack == "deepspeed":
        return _for_deepspeed(compiled, written, site=site)
    named = written.get(_NAME[compiled.stack], compiled.scheduler)
    if not isinstance(named, str) or named not in transformers.SPECIFIC:
        known = ", ".join(transformers.SPECIFIC)
        return Given(compiled, [(_NAME[compiled.stack], f"its rate must be a function of the step: {known}")])
    if compiled.stack == "trainer":
        wrong = trainer.wrong_arguments(written)
    else:
        allowed = (*_GET_SCHEDULER, SPLIT) if compiled.stack == "accelerate" else _GET_SCHEDULER
        wrong = [(key, f"expected one of {', '.join(allowed)}") for key in written if key not in allowed]
    wrong += _not_numbers(written, _NAME[compiled.stack], _KWARGS[compiled.stack], SPLIT)
    if wrong:
        return Given(compiled, list(dict(reversed(wrong)).items()))  # the first words about each
    result = _for_hugging_face(compiled, named, written, site=site)
    return Given(result, transformers.wrong_arguments(named, lengths_given(result), peak=peak))


def with_block(compiled: CompiledSchedule, block: Any, *, peak: float) -> Given:
    """`launch.native.deepspeed.scheduler` instead of the compiled arguments: all that is not in it is DeepSpeed's own.

    "auto" is what a Trainer fills in: rates and lengths, and nothing else.
    Source: transformers@5.23.0 integrations/deepspeed.py:HfTrainerDeepSpeedConfig.trainer_config_process,
    trainer_config_finalize.
    """
    written = (block.get("params") or {}) if isinstance(block, Mapping) else None
    if not isinstance(written, Mapping) or {**block, "params": 0} != {
        "type": compiled.scheduler,
        "params": 0,
    }:
        return Given(compiled, [("type", f"expected {{type: {compiled.scheduler}, params: {{...}}}}")])
    fills = {"warmup_min_lr": 0, "warmup_max_lr": peak}
    fills |= {key: compiled.arguments[key] for key in DUMMY if key in compiled.arguments}
    params = {key: fills.get(key, AUTO) if value == AUTO else value for key, value in written.items()}
    wrong = deepspeed.wrong_arguments(compiled.scheduler, params)
    if wrong:
        return Given(compiled, [(f"params.{key}", words) for key, words in wrong])
    filled = deepspeed.with_defaults(compiled.scheduler, params, peak=peak)
    # a DummyScheduler's numbers then change nothing
    return Given(replace(compiled, arguments=filled, handed={}), [])


def _for_deepspeed(compiled: CompiledSchedule, written: Mapping[str, Any], *, site: Site) -> Given:
    """Where Accelerate makes the engine, the lengths are those that the script gives a DummyScheduler."""
    handed: dict[str, Any] = {}
    params = dict(written)
    wrong = []
    if site.by_accelerate:
        split = params.pop(SPLIT, False)
        wrong = _not_numbers({SPLIT: split}, SPLIT)
        calls = calls_per_step(processes=site.processes, split_batches=split is True)
        handed = {**compiled.handed, **{key: params.pop(key) for key in DUMMY if key in written}}
        if calls == 1 and "total_num_steps" in handed and "total_num_steps" not in written:
            handed["total_num_steps"] = compiled.arguments["total_num_steps"]
        wrong += [
            (key, "expected an integer above 0")
            for key, value in handed.items()
            if not isinstance(value, int) or not is_length(value) or value < (key == "total_num_steps")
        ]
        if wrong:
            return Given(compiled, wrong)
        params |= from_dummy(handed, calls=calls)
    arguments = {**compiled.arguments, **params}
    wrong = deepspeed.wrong_arguments(compiled.scheduler, arguments)
    return Given(compiled if wrong else replace(compiled, arguments=arguments, handed=handed), wrong)


def _for_hugging_face(
    compiled: CompiledSchedule, name: str, written: Mapping[str, Any], *, site: Site
) -> CompiledSchedule:
    calls, base = compiled.calls_per_step, dict(compiled.arguments)
    if compiled.stack == "accelerate" and written.get(SPLIT, False):
        calls, base = 1, get_scheduler_arguments(_shortened(lengths_given(compiled), by=site.processes))
    specific = _KWARGS[compiled.stack]
    if name != compiled.scheduler:
        base[specific] = {}
    arguments = {**base, **{key: value for key, value in written.items() if key not in {"name", SPLIT}}}
    arguments[specific] = {**base[specific], **(written.get(specific) or {})}
    own_lag = compiled.lag_steps - lag_of(
        stack=compiled.stack, scheduler=compiled.scheduler, calls_per_step=compiled.calls_per_step
    )
    lag = own_lag + lag_of(stack=compiled.stack, scheduler=name, calls_per_step=calls)
    return replace(compiled, scheduler=name, arguments=arguments, calls_per_step=calls, lag_steps=lag)


def _shortened(lengths: Lengths, *, by: int) -> Lengths:
    """The lengths before they were multiplied; they were integers."""
    steps = {
        key: value // by if key == "num_decay_steps" else value for key, value in lengths.specific.items()
    }
    total = None if lengths.total is None else lengths.total // by
    return Lengths(lengths.warmup // by, total, steps)


def _not_numbers(written: Mapping[str, Any], *others: str) -> list[tuple[str, str]]:
    """Lengths that are no numbers of 0 or more, kwargs that are no mapping, a switch that is neither true nor false."""
    found = []
    for key, value in written.items():
        if key not in others:
            if not is_length(value):
                found.append((key, "expected a number of 0 or more"))
        elif key == SPLIT and not isinstance(value, bool):
            found.append((key, "expected true or false"))
        elif key.endswith("kwargs") and not isinstance(value, Mapping):
            found.append((key, "expected a mapping"))
    return found
