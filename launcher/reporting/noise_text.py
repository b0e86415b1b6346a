"""The gradient noise scale of a run in words: what was measured, how well, and what each batch would cost."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from launcher.spec.plan import RunPlan
from launcher.units import show_count

__all__ = ["noise_lines", "noise_plan_lines", "read_noise"]

_NAMES = {"efficient": "token-efficient", "balanced": "balanced", "no_benefit": "no benefit beyond"}

_WAYS = {
    "micro-batches": "the first micro-batch's gradient against the whole batch's",
    "ranks": "each rank's gradient against the mean of all",
}


def read_noise(folder: Path) -> list[dict[str, Any]]:
    """The lines of a run folder's noise.jsonl, in order; empty without one. A line cut short is passed over."""
    try:
        text = (folder / "noise.jsonl").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return []
    found = []
    for line in text.splitlines():
        try:
            entry = json.loads(line)
        except ValueError:
            continue
        if isinstance(entry, dict):
            found.append(entry)
    return found


def noise_lines(report: Mapping[str, Any]) -> list[str]:
    """The lines of `planning.noise.report.noise_report`, at most 100 characters each."""
    if report["unresolved"]:
        return [f"not resolved: {report['unresolved']}", *_so_far(report)]
    first = (
        f"{_show(report['noise_scale'])} sequences (95 %: {_show(report['low'])} to {_show(report['high'])})"
    )
    tokens = report["tokens_per_sequence"]
    if tokens:
        first += f", {_show(report['noise_scale'] * tokens)} loss tokens"
    return [
        first,
        f"{report['measurements']} measurements up to step {report['step']}, {report['mode']}",
        report["label"],
        f"{'batch':>28}   {'extra data':>10}   {'of full speed':>13}",
        *(_row(_NAMES[name], cost) for name, cost in report["band"].items()),
        _row("this run", report["present"]),
        f"rounded down to multiples of {show_count(report['multiple'])}; the batch is yours to change",
    ]


def noise_plan_lines(plan: RunPlan) -> list[str]:
    """How a run with the runtime will measure its gradient noise, or why it will not; nothing without the runtime."""
    block = plan.gradient_noise
    if block is None or not plan.launch.runtime:
        return []
    if block["way"] is None:
        return [] if block["asked"] == "off" else [f"not measured: {block['because']}"]
    every = "every step" if block["every_steps"] == 1 else f"every {show_count(block['every_steps'])} steps"
    return [f"measured {every}: {_WAYS[block['way']]}"]


def _so_far(report: Mapping[str, Any]) -> list[str]:
    if report["noise_scale"] is None:
        return []
    scale, count = _show(report["noise_scale"]), report["measurements"]
    return [f"so far {scale} sequences, {count} measurements up to step {report['step']}"]


def _row(name: str, cost: Mapping[str, Any]) -> str:
    size = show_count(int(cost["global_batch_size"]))
    return f"{name:<18}{size:>10}   {100 * cost['extra_data']:>8.3g} %   {100 * cost['speed']:>11.3g} %"


def _show(value: float) -> str:
    return show_count(round(value)) if abs(value) >= 100 else f"{value:.3g}"
