"""How ranks divide the work, as a recipe describes it."""

from dataclasses import dataclass
from typing import Literal

from launcher.spec.kinds import Count

__all__ = ["Context", "DataParallel", "Parallel"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """Ranks that share one sequence."""

    size: Count = 1
    """How many."""
    algorithm: Literal["ring", "ulysses", "allgather"] = "ring"
    """How they exchange keys and values."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DataParallel:
    """How data-parallel ranks hold the model's state."""

    strategy: Literal["ddp", "zero", "fsdp"] = "ddp"
    """ddp: whole copies; zero: DeepSpeed's sharding; fsdp: PyTorch's."""
    stage: Literal[0, 1, 2, 3] | None = None
    """zero: 0-3 (default 2); fsdp: 2 or 3 (default 3)."""
    offload: Literal["none", "optimizer", "parameters"] = "none"
    """What is kept in host memory (zero)."""
    version: Literal[1, 2] | None = None
    """FSDP version (default 2)."""
    shard: Count | None = None
    """Ranks that share one copy (fsdp)."""
    replicate: Count | None = None
    """Copies (fsdp)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Parallel:
    """Sizes of the axes along which ranks divide the work."""

    tensor: Count | Literal["auto"] = 1
    """Ranks that share each matrix."""
    pipeline: Count | Literal["auto"] = 1
    """Ranks that share the layers."""
    virtual_pipeline: Count = 1
    """Pieces of the layers on one pipeline rank."""
    context: Count | Literal["auto"] | Context = 1
    """Ranks that share one sequence."""
    expert: Count | Literal["auto"] = 1
    """Ranks that share the experts; divides data x context, does not enter data_parallel_size."""
    sequence: bool = False
    """Megatron-style sequence parallelism beside tensor."""
    data: DataParallel = DataParallel()
    """The rest of the ranks."""
