"""Which part of a run in stages one job trains: consecutive stages of one process configuration."""

from dataclasses import dataclass
from typing import Any

__all__ = ["PartPlan", "RecipePart"]


@dataclass(frozen=True, slots=True, kw_only=True)
class RecipePart:
    """A part that a recipe was narrowed to; stages and parts count from 1."""

    number: int
    count: int
    first_stage: int
    last_stage: int
    whole: Any
    """The recipe of the whole run."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PartPlan:
    """The part of a run that one job trains; stages and parts count from 1."""

    number: int
    count: int
    first_stage: int
    last_stage: int
    first_step: int
    """Number of its first optimizer step, counted from 1 over the whole run."""
    last_step: int | None
    """Of its last one; None where the run has no end."""
