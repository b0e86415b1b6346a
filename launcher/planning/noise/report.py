"""What a run measured of its gradient noise, made into advice. It is read, and nothing is changed by it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from launcher.planning.noise.band import Cost, cost_of, noise_band
from launcher.spec.plan import RunPlan

__all__ = ["LABEL", "noise_report"]

LABEL = "order of magnitude, for this point of training; SGD noise, not Adam-preconditioned"
"""Printed beside every noise scale. Source: McCandlish et al. 2018, arXiv:1812.06162, who see it grow tenfold and more
over a training, and Adam's own critical batch elsewhere."""


def noise_report(*, entries: Sequence[Mapping[str, Any]], plan: RunPlan) -> dict[str, Any]:
    """The latest noise scale of a run with its 95 % interval, and what it says of batches, in sequences.

    entries: lines of the run's noise.jsonl, in order. `band` and `present` are None, and `unresolved` says why, where
    the noise scale is not known well enough.
    """
    found = next((entry for entry in reversed(entries) if "noise_scale" in entry), None)
    report: dict[str, Any] = {"label": LABEL, "measurements": 0, "step": None, "unresolved": None}
    report |= dict.fromkeys(("noise_scale", "low", "high", "tokens_per_sequence", "band", "present"))
    if found is None:
        return report | {"unresolved": _never(plan)}
    kept = ("mode", "step", "samples", "measurements", "unresolved", "noise_scale", "low", "high")
    report |= {name: found.get(name) for name in (*kept, "tokens_per_sequence", "gradient_square", "trace")}
    scale = found["noise_scale"]
    if found["unresolved"] or not scale:
        return report
    batch = plan.batch
    multiple = batch.micro_batch_size * batch.data_parallel_size
    band = noise_band(noise_scale=scale, multiple=multiple)
    places = {name: getattr(band, name) for name in ("efficient", "balanced", "no_benefit")}
    return report | {
        "band": {name: _plain(cost) for name, cost in places.items()},
        "multiple": multiple,
        "present": _plain(cost_of(global_batch_size=batch.global_batch_size, critical_batch=scale)),
    }


def _plain(cost: Cost) -> dict[str, float]:
    return {**asdict(cost), "extra_data": cost.extra_data, "speed": cost.speed}


def _never(plan: RunPlan) -> str:
    noise = plan.gradient_noise
    if noise is None or not noise["because"]:
        return "nothing was measured yet"
    return f"it was not measured: {noise['because']}"
