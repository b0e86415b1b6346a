"""What stands behind an error code."""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["CodeInfo"]


class CodeInfo(NamedTuple):
    """What a code means and what to do about it."""

    meaning: str
    solution: str
