"""Examples that come with the package: of every error code what is printed about a real recipe, of keys real lines.

examples.json is made from the repository's tests, which prove each of them, by tests/explaining/making_examples.py.
"""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

__all__ = ["FILE", "code_examples", "key_examples"]

FILE = Path(__file__).with_name("examples.json")


def code_examples() -> dict[str, dict[str, Any]]:
    """By code: `message`, and where a recipe causes it `file`, `command`, `lines` (number, text) and `paths`."""
    return _kept()["codes"]


def key_examples() -> dict[str, dict[str, Any]]:
    """By dotted path of a recipe: `lines`, as a recipe that loads has them."""
    return _kept()["keys"]


@cache
def _kept() -> dict[str, dict[str, dict[str, Any]]]:
    kept: dict[str, dict[str, dict[str, Any]]] = json.loads(FILE.read_text("utf-8"))
    return kept
