"""A number of bytes with the range it is expected in."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Band"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Band:
    """A number with the range it is expected in, in bytes."""

    low: int
    expected: int
    high: int
