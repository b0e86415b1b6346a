"""What `batchwright trace` has written beside a recipe, as a plan reads it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

__all__ = ["TraceFile"]


@dataclass(frozen=True, slots=True)
class TraceFile:
    """One trace of the recipe's module."""

    path: str
    content: Mapping[str, Any]
    changed: tuple[str, ...] = ()
    """Files of code that are not what they were when it was made, from the recipe's folder."""
