"""What `batchwright probe` measured on the device itself: peaks of short jobs at several micro-batches."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

__all__ = ["MEASUREMENT_VERSION", "Measurement", "Outcome", "RankPeak", "Trial"]

MEASUREMENT_VERSION = 1

Outcome = Literal["fits", "over-limit", "out-of-memory"]


@dataclass(frozen=True, slots=True, kw_only=True)
class RankPeak:
    """Peak memory of one rank, in bytes."""

    rank: int
    host: str
    peak_bytes: int
    """All that the device held; on a CPU the peak resident size of the process."""
    allocated_bytes: int | None = None
    """torch.cuda.max_memory_allocated; None on a CPU."""
    reserved_bytes: int | None = None
    """torch.cuda.max_memory_reserved; None on a CPU."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """One short job."""

    micro_batch_size: int
    gradient_accumulation_steps: int
    outcome: Outcome
    peaks: tuple[RankPeak, ...]
    """As far as ranks left word; up to the failure where one ran out of memory."""
    predicted_bytes: int | None
    """What the memory model says of it."""
    seconds: float
    words: str = ""
    """Of the rank that ran out of memory."""

    @property
    def peak_bytes(self) -> int | None:
        """Of the rank that needs most; None where a rank ran out of memory."""
        if self.outcome == "out-of-memory":
            return None
        return max(rank.peak_bytes for rank in self.peaks)


@dataclass(frozen=True, slots=True, kw_only=True)
class Measurement:
    """All trials of one probe, and what they hold for."""

    measurement_version: int = MEASUREMENT_VERSION
    made: str
    """When, UTC: `2026-11-22T04:10:31Z`."""
    setting: Mapping[str, Any]
    """Everything of the recipe that memory depends on, except the micro-batch."""
    code: Mapping[str, str]
    """sha256 of the script and of what it imports from its own folder, by path from launch.workdir."""
    limit_bytes: int
    """What one rank was allowed to take."""
    limit_is_given: bool
    """Whether a person named the limit for the probe, instead of the plan."""
    steps: int
    """Optimizer steps of every trial."""
    versions: Mapping[str, str]
    """Of Python and of the libraries that the ranks had imported."""
    trials: tuple[Trial, ...]
    """In the order in which they were run."""
    file: str = field(default="", metadata={"internal": True}, compare=False)
    """Where it was read from, from the recipe's folder."""
    changed: tuple[str, ...] = field(default=(), metadata={"internal": True}, compare=False)
    """Files of `code` that are not what they were, or gone."""

    @property
    def words(self) -> str:
        """`probe of 2026-11-22, 4 trials`."""
        count = len(self.trials)
        return f"probe of {self.made[:10]}, {count} trial{'s' if count != 1 else ''}"
