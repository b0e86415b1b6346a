"""Every number of a plan with where it comes from."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from launcher.reporting.columns import table
from launcher.spec.marks import Origin
from launcher.spec.plan import RunPlan
from launcher.units import show_count, show_rate

__all__ = ["explanation"]


def explanation(plan: RunPlan) -> list[str]:
    """A table of value and origin, in the plan's own order of blocks."""
    plain = plan.to_dict()
    order = {name: at for at, name in enumerate(plain)}
    paths = sorted(plan.origins, key=lambda path: (order.get(path.partition(".")[0], len(order)), path))
    rows = [(path, _shown(path, _value(plain, path)), _origin(plan.origins[path])) for path in paths]
    return table(("number", "value", "from"), rows)


def _value(plain: Mapping[str, Any], path: str) -> Any:
    value: Any = plain
    for part in path.split("."):
        if isinstance(value, list) and part.isdecimal():
            value = value[int(part)]
        else:
            value = value.get(part) if isinstance(value, Mapping) else None
    return value


def _shown(path: str, value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int):
        return show_count(value)
    if isinstance(value, float):
        return show_rate(value) if path.endswith("learning_rate") else f"{value:g}"
    if isinstance(value, list):
        return ", ".join(_shown(path, item) for item in value) or "none"
    return str(value)


def _origin(origin: Origin) -> str:
    """`recipe cpu.yaml:3:20`, `derived: 12 / (3 x 2)`, `default`, `--set`."""
    where = "--set" if origin.origin == "command-line" else origin.origin
    place = f" {origin.file}" if origin.file and origin.origin != "command-line" else ""
    return f"{where}{place}{': ' if origin.formula else ''}{origin.formula}"
