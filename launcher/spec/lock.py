"""A plan that somebody has approved, in some twenty lines: what NAME.plan.json beside a recipe holds."""

from collections.abc import Mapping
from dataclasses import dataclass

__all__ = ["LOCK_SUFFIX", "LOCK_VERSION", "Lock", "LockedMemory", "LockedStage"]

LOCK_VERSION = 1
LOCK_SUFFIX = ".plan.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class LockedMemory:
    """What the rank that needs most was expected to hold, in bytes."""

    peak_bytes: int
    low_bytes: int
    high_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class LockedStage:
    """One stage of a run whose batch or sequence length changes on the way."""

    until: str | None
    """Where it ends, as written; None for the last one."""
    global_batch_size: int
    sequence_length: int | None
    micro_batch_size: int
    gradient_accumulation_steps: int
    first_step: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Lock:
    """The numbers of a plan by the plan's own names, and both its hashes."""

    lock_version: int = LOCK_VERSION
    recipe: str
    """Name of the recipe's file, which lies beside the lock."""
    cluster: str | None
    """Name or path of the machines it was locked for; None: those that the recipe names."""
    batchwright: str
    """Version that made the lock."""
    verdict: str
    global_batch_size: int
    sequence_length: int | None
    tokens_per_step: int | None
    micro_batch_size: int
    gradient_accumulation_steps: int
    data_parallel_size: int
    world_size: int
    engine: str
    device: str
    num_parameters: int | None
    peak_learning_rate: float | None
    final_learning_rate: float | None
    warmup_steps: int | None
    warmup_samples: int | None
    total_steps: int | None
    total_samples: int | None
    memory: LockedMemory | None
    stages: tuple[LockedStage, ...] | None = None
    meaning: Mapping[str, str]
    """Part of what training means to the first eight characters of its hash."""
    parts: Mapping[str, str]
    """The same of the parts of the plan."""
    semantics_hash: str
    plan_hash: str
