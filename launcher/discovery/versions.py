"""Versions of the training libraries that a job will import, read from the names of folders: nothing is imported."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path

from launcher.spec.recipe import Recipe

__all__ = ["LIBRARIES", "installed_versions", "known_versions", "versions_file"]

LIBRARIES = ("torch", "deepspeed", "accelerate")
_PLACES = (
    "lib/python3*/site-packages",
    "lib64/python3*/site-packages",
    "lib/python3*/dist-packages",
    "lib/python3/dist-packages",
    "local/lib/python3*/dist-packages",
)
# `torch-2.13.0+cpu.dist-info`, `deepspeed-0.19.8-py3.11.egg-info`
# Source: https://packaging.python.org/en/latest/specifications/recording-installed-packages/
_NAME = re.compile(rf"({'|'.join(LIBRARIES)})-([^-]+)(?:-py[\d.]+)?\.(?:dist|egg)-info")


def installed_versions(python: Path | None) -> dict[str, str]:
    """Version by library, of those that an interpreter's environment holds; empty where it cannot be told.

    python: the job's interpreter as it is called: links are not followed, since a virtual environment is one.
    """
    if python is None:
        return {}
    found: dict[str, str] = {}
    prefix = python.parent.parent
    for place in (each for pattern in _PLACES for each in sorted(prefix.glob(pattern))):
        try:
            names = [each.name for each in place.iterdir()]
        except OSError:
            continue
        for match in filter(None, map(_NAME.fullmatch, names)):
            found.setdefault(match[1], match[2])
    return dict(sorted(found.items()))


def versions_file(recipe: Recipe) -> Path:
    """Where the versions of the last run that went well are kept, beside the recipe."""
    return Path(recipe.directory) / ".batchwright" / "versions.json"


def known_versions(recipe: Recipe) -> dict[str, Mapping[str, str]]:
    """By recipe file: the versions with which it was run or tested last; empty where nothing is known."""
    try:
        content = json.loads(versions_file(recipe).read_text(encoding="utf-8"))
        return {str(name): dict(versions) for name, versions in content.items()}
    except (OSError, ValueError, TypeError, AttributeError):
        return {}
