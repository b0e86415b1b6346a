"""What counts as a number among arguments that a person hands to another stack."""

from __future__ import annotations

import math
from typing import Any

__all__ = ["is_length", "is_number"]

_LARGEST = 10**15


def is_number(value: Any) -> bool:
    """Whether a value is a finite number that arithmetic in doubles can bear; true and false are none."""
    known = isinstance(value, int | float) and not isinstance(value, bool)
    return known and abs(value) < _LARGEST and math.isfinite(value)


def is_length(value: Any) -> bool:
    """Whether a value is a number of 0 or more."""
    return is_number(value) and value >= 0
