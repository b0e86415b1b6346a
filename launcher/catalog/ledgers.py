"""Bytes saved for the backward pass, measured by tracing real modules or written from a source: one file per family.

A file says who measured it and with which versions; `rows` differ by device kind, attention, precision and dropout.
Polynomials are per micro-batch on one rank, in bytes; their names are in launcher/planning/memory/polynomial.py.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

__all__ = ["families", "implementations", "read_ledger"]

_FOLDER = Path(__file__).parent / "ledger_files"


@cache
def read_ledger(implementation: str, family: str) -> Mapping[str, Any]:
    """One ledger file, as written.

    Raises KeyError where the catalog has none.
    """
    path = _FOLDER / implementation / f"{family}.json"
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise KeyError(f"{implementation}/{family}") from None
    assert isinstance(found, dict)
    return found


def implementations() -> tuple[str, ...]:
    """Names of implementations, in order."""
    return tuple(sorted(path.name for path in _FOLDER.iterdir() if path.is_dir()))


@cache
def families(implementation: str) -> tuple[str, ...]:
    """Families of one implementation, in order."""
    return tuple(sorted(path.stem for path in (_FOLDER / implementation).glob("*.json")))
