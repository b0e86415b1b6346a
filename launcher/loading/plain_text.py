"""A recipe's text as plain values, for a recipe that lies in no file yet."""

from __future__ import annotations

from typing import Any

from launcher.loading.found import Found
from launcher.loading.tree import Place, plain
from launcher.loading.yaml_text import read_yaml

__all__ = ["values_of"]


def values_of(text: str) -> Any:
    """What the strict reader makes of a text of our own."""
    tree = read_yaml(text, place=Place("recipe"), found=Found())
    assert tree is not None
    return plain(tree)
