"""Trace files beside a recipe, and whether the code they were made from is still the same. No torch."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from launcher.spec.recipe import Recipe
from launcher.spec.trace_file import TraceFile

__all__ = ["file_hash", "read_traces", "trace_folder"]


_KEYS = frozenset(
    ("module", "code", "request", "versions", "extends", "parts", "totals", "modules", "coupled")
)
"""Of a trace file, among others; a file without them is from another version."""


def trace_folder(recipe: Recipe) -> Path:
    """Where `batchwright trace` puts what it finds: `.batchwright/trace` beside the recipe."""
    return Path(recipe.directory) / ".batchwright" / "trace"


def read_traces(recipe: Recipe) -> tuple[TraceFile, ...]:
    """Traces of the recipe's module, in the order of their names; files that are none are passed over."""
    found = []
    for path in sorted(trace_folder(recipe).glob("*.json")):
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            continue
        whole = isinstance(content, dict) and content.get("trace_version") == 1 and content.keys() >= _KEYS
        if whole and content["module"] == recipe.model.module:
            changed = _changed(content["code"], Path(recipe.directory))
            found.append(TraceFile(path=str(path), content=content, changed=changed))
    return tuple(found)


def file_hash(path: Path) -> str:
    """sha256 of a file's bytes."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _changed(code: dict[str, str], directory: Path) -> tuple[str, ...]:
    """Files that are not what they were, or gone."""
    return tuple(name for name, known in code.items() if _hash(directory / name) != known)


def _hash(path: Path) -> str:
    try:
        return file_hash(path)
    except OSError:
        return ""
