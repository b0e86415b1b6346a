"""What a part of the planner hands back: its value, where the numbers came from, and everything that is wrong."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from launcher.errors import Problem
from launcher.spec.marks import Origin

__all__ = ["Solved"]

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class Solved(Generic[T]):
    """One block of the plan; `value` is None where an error stands in the way."""

    value: T | None
    problems: tuple[Problem, ...] = ()
    origins: Mapping[str, Origin] = field(default_factory=dict)
