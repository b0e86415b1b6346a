"""Batch sizes around a measured noise scale, each with its data and steps beside those of the batch in use."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from launcher.planning.noise.band import cost_of, legal_size
from launcher.planning.stages.ledger import stages_of, step_at
from launcher.spec.plan import RunPlan

__all__ = ["FACTORS", "Candidate", "candidates", "candidates_of", "earlier", "with_batch_at"]

FACTORS = (0.2, 0.5, 1.0, 2.0, 5.0)
"""Of the noise scale: at 0.2 a batch takes 20 % more data than the smallest one would, at 5 six times as much."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """One batch; ratios are over the batch in use, to the same loss."""

    factors: tuple[float, ...]
    """Of the noise scale; several where rounding makes them one batch, none for the batch in use."""
    global_batch_size: int
    """Sequences; a multiple of ranks x micro-batch."""
    extra_data: float
    """Data beyond what the smallest batch would take, as a share of it: B / Bn."""
    data: float
    """Data over that of the batch in use: (1 + B / Bn) / (1 + B0 / Bn)."""
    data_range: tuple[float, float]
    """The same at the two ends of the noise scale's interval, in order of size."""
    steps: float
    """Optimizer steps over those of the batch in use: (1 + Bn / B) / (1 + Bn / B0)."""
    steps_range: tuple[float, float]


def candidates(
    *, noise_scale: float, low: float, high: float, multiple: int, current: int
) -> tuple[Candidate, ...]:
    """Batches by size, the one in use among them; sequences throughout. high may be infinite.

    multiple: data-parallel ranks x micro-batch; sizes are rounded down to it, and none is below it.
    Source: McCandlish et al. 2018, arXiv:1812.06162 equations 2.11 and 2.12, as ratios of two batches.
    """
    sizes: dict[int, list[float]] = {current: []}
    for factor in FACTORS:
        sizes.setdefault(legal_size(factor * noise_scale, multiple=multiple), []).append(factor)
    return tuple(
        _candidate(size, tuple(factors), noise=(noise_scale, low, high), current=current)
        for size, factors in sorted(sizes.items())
    )


def candidates_of(report: Mapping[str, Any]) -> tuple[Candidate, ...]:
    """Those of a noise report (launcher.planning.noise.report); none where it is not resolved."""
    if report["band"] is None:
        return ()
    return candidates(
        noise_scale=report["noise_scale"],
        low=report["low"],
        high=report["high"],
        multiple=report["multiple"],
        current=report["present"]["global_batch_size"],
    )


def with_batch_at(plan: RunPlan, *, step: int | None) -> RunPlan:
    """The plan with the batch of the stage that an optimizer step belongs to, numbered from 1."""
    planned = None if step is None else step_at(plan, step)
    return plan if planned is None else replace(plan, batch=stages_of(plan)[planned.stage].batch)


def earlier(entries: Sequence[Mapping[str, Any]], *, points: int = 3) -> tuple[tuple[int, float], ...]:
    """Step and noise scale at a few points before the last one, evenly over the entries that were resolved.

    entries: lines of a run's noise.jsonl. A scale that drifts says how little the last one holds for the rest.
    """
    found = [
        (int(entry["step"]), float(entry["noise_scale"]))
        for entry in entries
        if entry.get("noise_scale") and not entry.get("unresolved")
    ]
    places = sorted({at * (len(found) - 1) // points for at in range(points)}) if found else []
    return tuple(found[at] for at in places if at < len(found) - 1)


def _candidate(
    size: int, factors: tuple[float, ...], *, noise: tuple[float, float, float], current: int
) -> Candidate:
    data, *data_ends = (_data(size, current, scale) for scale in noise)
    steps, *steps_ends = (_data(size, current, scale) * current / size for scale in noise)
    return Candidate(
        factors=factors,
        global_batch_size=size,
        extra_data=size / noise[0],
        data=data,
        data_range=(min(data_ends), max(data_ends)),
        steps=steps,
        steps_range=(min(steps_ends), max(steps_ends)),
    )


def _data(size: int, current: int, noise_scale: float) -> float:
    """Data of one batch over data of another, to the same loss."""
    if math.isinf(noise_scale):
        return 1.0
    one, other = (cost_of(global_batch_size=each, critical_batch=noise_scale) for each in (size, current))
    return one.data / other.data
