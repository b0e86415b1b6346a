"""A ledger as a file: the same ledger gives the same bytes."""

from __future__ import annotations

import json
from typing import Any

__all__ = ["as_text"]


def as_text(ledger: Any) -> str:
    """JSON with one line to a polynomial or list of them, so that a changed coefficient is a changed line."""
    return _text(ledger, 0) + "\n"


def _text(value: Any, depth: int) -> str:
    short = json.dumps(value)
    if len(short) + depth <= 100 or not isinstance(value, (dict, list)) or _flat(value):
        return short
    pad = " " * (depth + 1)
    if isinstance(value, list):
        inner = ",\n".join(pad + _text(each, depth + 1) for each in value)
        return f"[\n{inner}\n{' ' * depth}]"
    inner = ",\n".join(f"{pad}{json.dumps(key)}: {_text(each, depth + 1)}" for key, each in value.items())
    return f"{{\n{inner}\n{' ' * depth}}}"


def _flat(value: Any) -> bool:
    return isinstance(value, dict) and not any(isinstance(each, (dict, list)) for each in value.values())
