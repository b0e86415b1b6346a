"""Every number of a plan with where it comes from."""

from __future__ import annotations

import posixpath
from collections.abc import Mapping
from typing import Any

from launcher.reporting.columns import WIDTH, table
from launcher.spec.marks import Origin
from launcher.spec.plan import RunPlan
from launcher.units import show_count, show_rate

__all__ = ["explanation"]

_MOST, _FIRST = 8, 2
"""Stages up to which all are told of, and how many of a longer ramp beside its last one."""


def explanation(plan: RunPlan) -> list[str]:
    """A table of value and origin, in the plan's own order of blocks; of a long ramp the first stages and the last.

    Files are named without their folder where a line has no room for it.
    """
    plain = plan.to_dict()
    order = {name: at for at, name in enumerate(plain)}
    stages = len(plan.stages or ())
    paths = sorted(
        plan.origins, key=lambda path: (order.get(path.partition(".")[0], len(order)), *_place(path))
    )
    paths = [path for path in paths if stages <= _MOST or _place(path)[0] not in range(_FIRST, stages - 1)]
    lines: list[str] = []
    for folders in (True, False):
        rows = [
            (path, _shown(path, _value(plain, path)), _origin(plan.origins[path], folders)) for path in paths
        ]
        lines = table(("number", "value", "from"), rows)
        if all(len(line) <= WIDTH for line in lines):
            break
    if stages > _MOST:
        lines.append(f"... of {stages - _FIRST - 1} stages more: --json")
    return lines


def _place(path: str) -> tuple[int, str]:
    """Number of the stage that a path is of, -1 outside of stages, and the path."""
    parts = path.split(".")
    return (int(parts[1]) if parts[0] == "stages" and parts[1].isdecimal() else -1, path)


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


def _origin(origin: Origin, folders: bool) -> str:
    """`recipe cpu.yaml:3:20`, `derived: 12 / (3 x 2)`, `default`, `--set`."""
    where = "--set" if origin.origin == "command-line" else origin.origin
    file = (origin.file or "") if folders else posixpath.basename(origin.file or "")
    place = f" {file}" if file and origin.origin != "command-line" else ""
    return f"{where}{place}{': ' if origin.formula else ''}{origin.formula}"
