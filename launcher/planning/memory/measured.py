"""What a probe has measured, held against the memory model: the measured figure counts, the model fills the gaps.

Measurement files are written by `batchwright probe`; here they are only judged.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from launcher.planning.memory.band import Band
from launcher.planning.memory.estimate import Estimate
from launcher.spec.measurement import Measurement, Trial
from launcher.spec.model import Model
from launcher.spec.plain import to_plain
from launcher.spec.plan import LayoutPlan, ModelPlan, PrecisionPlan
from launcher.spec.recipe import Recipe

__all__ = [
    "corrected",
    "fitting_measurement",
    "known_to_fit",
    "probe_setting",
    "stale_measurement",
    "usable_by",
]

_COUNTS = ("num_parameters", "num_active_parameters", "num_trainable_parameters")


def probe_setting(
    *, recipe: Recipe, layout: LayoutPlan, model: ModelPlan, precision: PrecisionPlan
) -> dict[str, Any]:
    """Everything that the peak of a rank depends on besides the split of its batch, as JSON values."""
    launch = recipe.launch
    dims = {name: value for name, value in to_plain(model).items() if name not in _COUNTS}
    return {
        "model": {**_written(recipe.model), **dims},
        "hidden_size": recipe.hidden_size,
        "sequence_length": to_plain(recipe.sequence_length),
        "global_batch_size": recipe.global_batch_size,
        "global_batch_tokens": to_plain(recipe.global_batch_tokens),
        "packing": recipe.data.packing,
        "mean_length": recipe.data.mean_length,
        "precision": to_plain(precision),
        "layout": to_plain(layout),
        "attention": recipe.attention,
        "activation_checkpointing": recipe.activation_checkpointing,
        "compile": recipe.compile,
        "loss": to_plain(recipe.loss),
        "optimizer": {
            "name": recipe.optimizer.name,
            "momentum": recipe.optimizer.momentum,
            "implementation": recipe.optimizer.implementation,
            "owner": recipe.optimizer.owner,
        },
        "launch": {
            "engine": launch.engine,
            "script": launch.script,
            "module": launch.module,
            "args": list(launch.args),
            "env": dict(launch.env),
            "native": to_plain(launch.native),
            "runtime": launch.runtime,
        },
    }


def fitting_measurement(
    measurements: Iterable[Measurement], *, setting: Mapping[str, Any]
) -> Measurement | None:
    """The newest measurement of this setting whose code is still what it was."""
    found = [each for each in measurements if not each.changed and each.setting == setting]
    return max(found, key=lambda each: each.made, default=None)


def stale_measurement(
    measurements: Iterable[Measurement], *, setting: Mapping[str, Any]
) -> Measurement | None:
    """The newest measurement of this setting, where the code of every one has changed since."""
    if fitting_measurement(measurements, setting=setting) is not None:
        return None
    found = [each for each in measurements if each.changed and each.setting == setting]
    return max(found, key=lambda each: each.made, default=None)


def usable_by(measurement: Measurement | None, *, usable: int | None, is_written: bool) -> int | None:
    """Bytes that one rank may take: the limit that a person gave the probe, unless the recipe itself says one.

    usable: what device and cluster leave. is_written: whether the recipe tells it.
    """
    if measurement is None or not measurement.limit_is_given:
        return usable
    return usable if is_written and usable is not None else measurement.limit_bytes


def known_to_fit(
    measurement: Measurement, *, micro_batch_size: int, accumulates: bool, usable: int
) -> bool | None:
    """Whether a micro-batch fits, as far as the trials tell; None where they do not.

    Memory grows with the micro-batch. A trial that accumulates holds gradients beside those of the last micro-batch:
    what fits with it fits without, not the other way round.
    """
    verdicts = {trial: _verdict(trial, measurement, usable) for trial in measurement.trials}
    for trial, fits in verdicts.items():
        if trial.micro_batch_size == micro_batch_size and fits is not None:
            return fits
    if any(fits is False and trial.micro_batch_size < micro_batch_size for trial, fits in verdicts.items()):
        return False
    larger = [trial for trial, fits in verdicts.items() if fits and trial.micro_batch_size > micro_batch_size]
    return True if any(_accumulates(trial) or not accumulates for trial in larger) else None


def corrected(
    estimate: Estimate,
    *,
    measurement: Measurement,
    micro_batch_size: int,
    gradient_accumulation_steps: int,
) -> Estimate:
    """The estimate with the measured peak where this split was tried, else between its measured neighbours."""
    exact = next((trial for trial in measurement.trials if trial.micro_batch_size == micro_batch_size), None)
    if exact is not None and exact.peak_bytes is not None:
        return _measured(estimate, exact, measurement)
    least, most = _bounds(measurement, micro_batch_size, accumulates=gradient_accumulation_steps > 1)
    device = Band(
        low=_between(estimate.device.low, least, most),
        expected=_between(estimate.device.expected, least, most),
        high=_between(estimate.device.high, least, most),
    )
    if device == estimate.device:
        return estimate
    words = f"{estimate.evidence}, within what the {measurement.words} saw at other micro-batches"
    return replace(_with_device(estimate, device), evidence=words)


def _written(model: Model) -> dict[str, Any]:
    """What differs from the defaults: a key that a later version adds makes no old measurement worthless."""
    unset = to_plain(Model())
    return {name: value for name, value in to_plain(model).items() if value != unset[name]}


def _verdict(trial: Trial, measurement: Measurement, usable: int) -> bool | None:
    if trial.peak_bytes is not None:
        return trial.peak_bytes <= usable
    # out of memory below a limit that somebody gave says nothing of a larger one
    is_limited = measurement.setting["layout"]["device_kind"] == "cpu"
    return None if is_limited and measurement.limit_bytes < usable else False


def _measured(estimate: Estimate, trial: Trial, measurement: Measurement) -> Estimate:
    peaks = [rank.peak_bytes for rank in trial.peaks]
    allocated = _most(rank.allocated_bytes for rank in trial.peaks)
    reserved = _most(rank.reserved_bytes for rank in trial.peaks)
    found = _with_device(estimate, Band(low=min(peaks), expected=max(peaks), high=max(peaks)))
    return replace(
        found,
        allocated=found.allocated if allocated is None else _exactly(allocated),
        reserved=found.reserved if reserved is None else _exactly(reserved),
        evidence=measurement.words,
    )


def _with_device(estimate: Estimate, device: Band) -> Estimate:
    """Another peak; what the formulas do not explain of it is a part of its own, so that the parts still add up."""
    beyond = device.expected - sum(estimate.components.values())
    components = {**estimate.components, "not_predicted": beyond} if beyond else estimate.components
    return replace(estimate, device=device, components=components)


def _bounds(measurement: Measurement, micro: int, *, accumulates: bool) -> tuple[int, int | None]:
    """Most that smaller micro-batches took, and least that larger ones did; beyond the limit where memory ran out."""
    least, most = 0, None
    for trial in measurement.trials:
        peak = trial.peak_bytes
        if trial.micro_batch_size <= micro:
            least = max(least, measurement.limit_bytes + 1 if peak is None else peak)
        elif peak is not None and (_accumulates(trial) or not accumulates):
            most = peak if most is None else min(most, peak)
    return least, most


def _between(number: int, least: int, most: int | None) -> int:
    return max(least, number if most is None else min(number, most))


def _exactly(number: int) -> Band:
    return Band(low=number, expected=number, high=number)


def _most(numbers: Iterable[int | None]) -> int | None:
    known = [number for number in numbers if number is not None]
    return max(known, default=None)


def _accumulates(trial: Trial) -> bool:
    return trial.gradient_accumulation_steps > 1
