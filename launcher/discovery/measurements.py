"""Measurements beside a recipe, and whether the code they were made with is still the same. No torch."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from launcher.spec.measurement import MEASUREMENT_VERSION, Measurement
from launcher.spec.plain import from_plain
from launcher.spec.recipe import Recipe

__all__ = ["code_hashes", "measurement_key", "probe_folder", "read_measurements", "work_folder"]


def probe_folder(recipe: Recipe) -> Path:
    """Where `batchwright probe` puts what it finds: `.batchwright/probe` beside the recipe."""
    return Path(recipe.directory) / ".batchwright" / "probe"


def work_folder(recipe: Recipe) -> Path:
    """Where the script runs."""
    return Path(recipe.directory, recipe.launch.workdir)


def read_measurements(recipe: Recipe) -> tuple[Measurement, ...]:
    """All measurements beside a recipe, in the order of their names; files that are none are passed over."""
    found = []
    for path in sorted(probe_folder(recipe).glob("*.json")):
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            if content["measurement_version"] != MEASUREMENT_VERSION:
                continue
            measurement = from_plain(Measurement, content)
        except (OSError, ValueError, TypeError, KeyError, AttributeError):
            continue
        now = code_hashes(measurement.code, directory=work_folder(recipe))
        changed = tuple(name for name, known in measurement.code.items() if now.get(name) != known)
        name = path.relative_to(recipe.directory).as_posix()
        found.append(replace(measurement, file=name, changed=changed))
    return tuple(found)


def code_hashes(names: Iterable[str], *, directory: Path) -> dict[str, str]:
    """sha256 of each file that there is, by name; relative names are taken from the folder."""
    found = {}
    for name in names:
        try:
            found[name] = hashlib.sha256((directory / name).read_bytes()).hexdigest()
        except OSError:
            continue
    return found


def measurement_key(measurement: Measurement) -> str:
    """Name of a measurement's file: what memory depends on, the code included, the micro-batch left out."""
    text = json.dumps([measurement.setting, measurement.code], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]
