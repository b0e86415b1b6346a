"""Peak memory of one rank: which phase, which pipeline stage, made of what."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from launcher.planning.memory.network import Network
from launcher.planning.memory.setting import Setting

__all__ = ["Band", "Estimate", "Phase", "StageEstimate", "estimate_memory"]

Phase = Literal["forward-end", "backward", "optimizer-step"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Band:
    """A number with the range it is expected in, in bytes."""

    low: int
    expected: int
    high: int


@dataclass(frozen=True, slots=True, kw_only=True)
class StageEstimate:
    """One pipeline stage."""

    stage: int
    phase: Phase
    allocated: int
    """What torch.cuda.max_memory_allocated would say, in bytes."""
    phases: Mapping[Phase, int]
    components: Mapping[str, int]
    """Parts of `allocated` at its peak; they add up to it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """Memory of the rank that needs most."""

    allocated: Band
    reserved: Band
    """What the caching allocator holds."""
    device: Band
    """What the device must hold: reserved, context, communicators, workspaces."""
    stage: int
    phase: Phase
    components: Mapping[str, int]
    """Parts of `device.expected`; they add up to it."""
    stages: tuple[StageEstimate, ...]
    host_bytes: int
    """Held in host memory by one rank (offload)."""
    evidence: str
    """Where the saved bytes come from: the ledger's implementation, family and versions, or the formula."""


def estimate_memory(*, network: Network, setting: Setting) -> Estimate:
    """Peak memory of training `network` under `setting`, in bytes."""
    raise NotImplementedError
