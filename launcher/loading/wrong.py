"""What is wrong with one value, before anybody knows its key."""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["LARGEST", "Wrong"]

LARGEST = 2**63 - 1
"""Largest whole number of a recipe: what other tools' 64-bit integers hold."""


class Wrong(NamedTuple):
    """A code; `expected` only where it says more than the words of the shape; one hint where it helps."""

    code: str
    expected: str = ""
    hint: str = ""
