"""What a run's measured gradient noise says of its batch, as a person reads it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from launcher.planning.laws.candidates import Candidate
from launcher.reporting.columns import labelled, table
from launcher.reporting.noise_text import noise_lines
from launcher.units import show_count

__all__ = ["run_advice_text"]

_HEADER = ("", "sequences", "extra data", "data", "", "steps", "")
_WORDS = {0.2: "token-efficient", 1.0: "balanced", 5.0: "no benefit beyond"}
_READ = (
    "extra data: beyond what the smallest batch would take to the same loss",
    "data, steps: to the same loss, over those of this run's batch; in brackets at the ends of the interval",
    "on the same devices time goes with the data; with devices in proportion to the batch, with the steps",
    "the learning rate that goes with another batch is not part of this",
)


def run_advice_text(
    report: Mapping[str, Any],
    found: Sequence[Candidate],
    *,
    name: str,
    before: Sequence[tuple[int, float]] = (),
) -> list[str]:
    """The noise scale with its interval, then batches with their data and steps beside those of the run's own.

    before: steps and noise scales on the way there.
    """
    title = f"what the gradient noise of {name} says of its batch; nothing is changed"
    if not found:
        return [title, "", *labelled("noise", noise_lines(report))]
    measured = noise_lines(report)[:3]
    return [
        title,
        "",
        *labelled("noise", [*measured, *_drift(before)]),
        "",
        *table(_HEADER, [_row(each) for each in found]),
        "",
        *labelled(
            "read", [*_READ, f"sizes are multiples of {show_count(report['multiple'])}: ranks x micro-batch"]
        ),
        *labelled("next", [_next(report)]),
    ]


def _drift(before: Sequence[tuple[int, float]]) -> list[str]:
    points = ", ".join(f"{scale:.3g} at step {show_count(step)}" for step, scale in before)
    return [f"before that {points}"] if points else []


def _row(each: Candidate) -> tuple[str, ...]:
    where = ", ".join(f"{factor:g}" for factor in each.factors)
    label = "this run" if not where else f"{where} x noise"
    label += ", this run" if where and each.data == 1 and each.steps == 1 else ""
    words = "; ".join(_WORDS[factor] for factor in each.factors if factor in _WORDS)
    return (
        label,
        show_count(each.global_batch_size),
        f"{100 * each.extra_data:.3g} %",
        f"x {each.data:.3g}",
        _between(each.data_range),
        f"x {each.steps:.3g}",
        words,
    )


def _between(ends: tuple[float, float]) -> str:
    low, high = (f"{end:.3g}" for end in ends)
    return "" if low == high else f"({low}-{high})"


def _next(report: Mapping[str, Any]) -> str:
    return (
        f"--noise-scale {report['noise_scale']:.3g} with the recipe sets it beside published laws: "
        "batchwright advise RECIPE"
    )
