"""A site's manifest with our fields laid over it; what both set differently is nobody's to choose."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

__all__ = ["ABSENT", "Conflict", "inside", "merged"]

_KEYED = {
    "containers": "name",
    "env": "name",
    "replicatedJobs": "name",
    "runtimePatches": "manager",
    "volumeMounts": "mountPath",
    "volumes": "name",
}
"""Lists that Kubernetes merges by a key of their items."""


class _Absent:
    """Stands for a field that must not be there."""


ABSENT = _Absent()


class Conflict(NamedTuple):
    """A field that both set."""

    path: str
    site: Any
    ours: Any
    """ABSENT: nothing may stand there."""


def merged(site: Any, ours: Any, path: str = "") -> tuple[Any, tuple[Conflict, ...]]:
    """Both together; where they differ ours, and a conflict."""
    if isinstance(site, Mapping) and isinstance(ours, Mapping):
        return _mappings(site, ours, path)
    key = _KEYED.get(path.rpartition(".")[2])
    if key is not None and isinstance(site, list | tuple) and isinstance(ours, list | tuple):
        return _keyed(list(site), list(ours), key, path)
    conflicts = () if site is None or _same(site, ours) else (Conflict(path, site, ours),)
    return _present(ours), conflicts


def inside(values: Any, *keys: str | int) -> Any:
    """The value below these keys, or an empty mapping where there is none."""
    for key in keys:
        if isinstance(key, int):
            values = values[key] if isinstance(values, list | tuple) and len(values) > key else {}
        else:
            values = values.get(key) if isinstance(values, Mapping) else {}
    return {} if values is None else values


def _mappings(
    site: Mapping[str, Any], ours: Mapping[str, Any], path: str
) -> tuple[dict[str, Any], tuple[Conflict, ...]]:
    result = dict(site)
    conflicts: list[Conflict] = []
    for name, value in ours.items():
        at = f"{path}.{name}" if path else name
        if value is ABSENT:
            if result.pop(name, None) is not None:
                conflicts.append(Conflict(at, site[name], ABSENT))
        elif name in site:
            result[name], found = merged(site[name], value, at)
            conflicts += found
        else:
            result[name] = _present(value)
    return result, tuple(conflicts)


def _keyed(site: list[Any], ours: list[Any], key: str, path: str) -> tuple[list[Any], tuple[Conflict, ...]]:
    result = list(site)
    conflicts: list[Conflict] = []
    places = {item.get(key): at for at, item in enumerate(site) if isinstance(item, Mapping)}
    for item in ours:
        at = places.get(item[key])
        if at is None:
            result.append(_present(item))
        else:
            result[at], found = merged(site[at], item, f"{path}[{item[key]}]")
            conflicts += found
    return result, tuple(conflicts)


def _present(value: Any) -> Any:
    """The value without the fields that must not be there."""
    if isinstance(value, Mapping):
        return {key: _present(each) for key, each in value.items() if each is not ABSENT}
    return [_present(each) for each in value] if isinstance(value, list | tuple) else value


def _same(site: Any, ours: Any) -> bool:
    """Quantities may be written as numbers or as text."""
    return bool(site == ours) or (
        isinstance(site, str | int) and isinstance(ours, str | int) and str(site) == str(ours)
    )
