"""Engines and executors of installed packages, found through their entry points and loaded only when chosen.

Entry points are read from the folders on sys.path directly: importing importlib.metadata alone takes 30 ms, an eighth
of what a whole `batchwright plan` may take.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from difflib import get_close_matches
from importlib import import_module
from pathlib import Path
from typing import Any

from launcher.errors import EngineError, Problem

__all__ = ["PluginInfo", "find_plugin", "plugin_names"]

_WORDS = {
    "launcher.engines": ("engine", "unknown-engine"),
    "launcher.executors": ("executor", "unknown-executor"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class PluginInfo:
    """What a package registers, read without importing it."""

    name: str
    value: str
    """`package.module:ATTRIBUTE`."""
    distribution: str
    version: str
    loaded: bool
    """Whether its module has been imported in this process."""


def plugin_names(group: str) -> tuple[PluginInfo, ...]:
    """Everything registered in a group, by name; a name that two packages register stands twice."""
    return tuple(sorted(_entries(group), key=lambda info: (info.name, info.distribution)))


def find_plugin(group: str, name: str) -> Any:
    """The engine or executor of that name. group: launcher.engines or launcher.executors.

    Raises EngineError: unknown-engine, unknown-executor, engine-clash, engine-broken.
    """
    entries = plugin_names(group)
    chosen = [entry for entry in entries if entry.name == name]
    if not chosen:
        raise EngineError([_unknown(group, name, sorted({entry.name for entry in entries}))])
    if len(chosen) > 1:
        raise EngineError([_clash(group, name, [entry.distribution for entry in chosen])])
    return _loaded(group, chosen[0])


def _entries(group: str) -> Iterator[PluginInfo]:
    """Entry points of a group; of a package that stands on the path twice only the first, which is what imports."""
    seen: set[str] = set()
    for folder in _metadata_folders():
        try:
            text = (folder / "entry_points.txt").read_text(encoding="utf-8")
        except OSError:
            continue
        if f"[{group}]" not in text:
            continue
        package, _, version = folder.stem.partition("-")
        key = re.sub(r"[-_.]+", "-", package).lower()
        if key not in seen:
            seen.add(key)
            for name, value in _section(text, group):
                loaded = value.partition(":")[0] in sys.modules
                yield PluginInfo(
                    name=name, value=value, distribution=package, version=version or "unknown", loaded=loaded
                )


def _metadata_folders() -> Iterator[Path]:
    """What installers leave beside a package, in the order of sys.path."""
    for place in sys.path:
        try:
            names = [child.name for child in Path(place).iterdir()]
        except OSError:
            continue
        yield from (Path(place, name) for name in sorted(names) if name.endswith((".dist-info", ".egg-info")))


def _section(text: str, group: str) -> Iterator[tuple[str, str]]:
    """`name = package.module:ATTRIBUTE` lines of one section.

    Source: packaging.python.org, specifications/entry-points, "File format".
    """
    current = ""
    for raw in text.splitlines():
        line = raw.strip()
        if line.startswith("["):
            current = line.strip("[]")
        elif current == group and "=" in line and not line.startswith(("#", ";")):
            name, _, value = line.partition("=")
            yield name.strip(), value.partition("[")[0].strip()


def _loaded(group: str, entry: PluginInfo) -> Any:
    word, _ = _WORDS[group]
    module, _, attributes = entry.value.partition(":")
    try:
        plugin: Any = import_module(module)
        for attribute in filter(None, attributes.split(".")):
            plugin = getattr(plugin, attribute)
    except Exception as error:
        why = f"{type(error).__name__}: {error}".splitlines()[0]
        raise EngineError([_broken(word, entry, f"cannot be imported: {why}")]) from error
    missing = [part for part in ("name", "check", "render") if not hasattr(plugin, part)]
    if missing:
        raise EngineError([_broken(word, entry, f"has no `{missing[0]}`, so it is no {word}")])
    return plugin


def _unknown(group: str, name: str, known: list[str]) -> Problem:
    word, code = _WORDS[group]
    near = get_close_matches(name, known, n=1, cutoff=0.6)
    return Problem(
        code=code,
        path=f"launch.{word}",
        message=f"`launch.{word}: {name}` is not installed; expected one of {', '.join(known) or 'none at all'}",
        hint=f"did you mean `{near[0]}`?"
        if near
        else f"install the package that registers `{name}` in {group}",
    )


def _clash(group: str, name: str, packages: list[str]) -> Problem:
    word, _ = _WORDS[group]
    return Problem(
        code="engine-clash",
        path=f"launch.{word}",
        message=f"`launch.{word}: {name}` is registered by {' and by '.join(packages)}",
        hint="uninstall one of them",
    )


def _broken(word: str, entry: PluginInfo, why: str) -> Problem:
    return Problem(
        code="engine-broken",
        path=f"launch.{word}",
        message=f"`launch.{word}: {entry.name}`: {entry.value} of {entry.distribution} {entry.version} {why}",
        hint="repair or uninstall that package",
    )
