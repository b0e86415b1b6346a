"""How a network is trained, as far as memory depends on it: batch, formats, optimizer, kernels and layout."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

__all__ = ["Buffers", "Formats", "Layout", "Setting"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Formats:
    """Bytes of one number, by what it is; what follows from engine and implementation is filled in by formats.py."""

    compute: Literal["fp32", "fp16", "bf16", "fp8"] = "bf16"
    autocast: bool = False
    """Parameters stay in their own format and are cast layer by layer."""
    parameter_bytes: int = 4
    gradient_bytes: int = 4
    master_bytes: int = 0
    """fp32 weights beside the parameters: 4, or 0 where there are none."""
    state_bytes: int = 4
    """Of one number of an optimizer state."""
    reduce_bytes: int = 4
    wide_loss: bool = False
    """Whether the loss is in fp32 although weights, and what layers hand on, have 16 bits: autocast over such a model,
    which casts nothing else of it. Matters where the implementation does not take its loss in fp32 itself."""
    main_gradient_bytes: int = 0
    """fp32 copies of gradients that stay beside them from step to step (Megatron fp16)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """Ranks along every axis, and how data-parallel ranks hold the states."""

    data: int = 1
    tensor: int = 1
    pipeline: int = 1
    virtual_pipeline: int = 1
    """Pieces of the layers on one pipeline rank."""
    context: int = 1
    expert: int = 1
    expert_tensor: int | None = None
    """None: as tensor."""
    sequence_parallel: bool = False
    devices_per_node: int = 8
    strategy: Literal["ddp", "zero", "fsdp"] = "ddp"
    zero_stage: int = 0
    """0-3; fsdp: 2 (gathered weights are kept after the forward pass) or 3."""
    shard: int | None = None
    """Ranks that share one copy of the states; None: all data (and context) ranks."""
    offload: Literal["none", "optimizer", "parameters"] = "none"
    fsdp_version: int = 2
    whole_gradients: bool | None = None
    """Whether FSDP keeps whole gradients between micro-batches (no_sync); None: under accelerate, not elsewhere."""
    end_groups: bool = False
    """Embeddings and head are FSDP groups of their own; else they are the root group, whole to the end of a step."""
    piece_layers: tuple[int, ...] = ()
    """Layers of every pipeline piece in order of depth, pipeline x virtual_pipeline of them; (): even shares."""
    micro_batch_group: int | None = None
    """Micro-batches that pass one piece before the next one's turn, interleaved; None: as many as pipeline ranks."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Buffers:
    """Sizes of communication buffers that an engine's configuration decides, in elements; defaults are the engines'."""

    reduce_bucket: int = 500_000_000
    allgather_bucket: int = 500_000_000
    prefetch_bucket: int = 50_000_000
    max_live_parameters: int = 1_000_000_000
    persistence_threshold: int = 100_000
    overlap: bool | None = None
    """None: the engine's default at this stage."""
    sub_group: int = 1_000_000_000
    """Parameters that ZeRO-3 steps at once (sub_group_size)."""
    gradient_view: bool = False
    """Whether DDP's gradients lie in its buckets (gradient_as_bucket_view)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """One way to train one network on one rank."""

    device_kind: Literal["cpu", "cuda", "rocm", "hpu"] = "cuda"
    engine: str = "torchrun"
    """torchrun, accelerate, deepspeed; megatron for its own gradient buffers and distributed optimizer."""
    micro_batch_size: int = 1
    sequence_length: int = 1
    """Tokens (time steps) of one sequence; of the encoder where there are two; 1 for images and tables."""
    target_length: int | None = None
    """Tokens out of the decoder of an encoder-decoder."""
    gradient_accumulation_steps: int = 1
    optimizer: str = "adamw"
    momentum: float = 0.0
    optimizer_implementation: Literal["auto", "foreach", "fused", "for-loop"] = "auto"
    step_copies: int | None = None
    """Copies of all trained parameters that one step holds, for optimizers that are not torch's; None: as torch's."""
    attention: Literal["eager", "sdpa", "flash"] = "sdpa"
    checkpointing: Literal["none", "selective", "full"] = "none"
    checkpointed_layers: int | None = None
    """Layers of a stage under full checkpointing; None: all."""
    recomputed_modules: tuple[str, ...] = ("core_attn",)
    """What selective checkpointing computes again where an engine offers more than attention; Megatron's names."""
    compile: bool = False
    logits: Literal["full", "chunked", "fused"] = "full"
    compiled_loss: int = 0
    """fp32 copies of the logits beside the first that a loss compiled apart from the model makes (Megatron's
    cross-entropy fusion: 1, with torch before 2.10 two)."""
    expert_dispatch: Literal["alltoall", "allgather"] = "alltoall"
    """How tokens reach experts of other ranks."""
    workspace_bytes: int | None = None
    """Libraries' workspaces that torch counts, where device and engine tell them; None: a constant with its range."""
    context_bytes: int | None = None
    """The driver's context and loaded kernels, where somebody measured it; None: a constant with its range."""
    variable_lengths: bool = False
    """Whether micro-batches differ in length, so that the allocator's blocks do not fit the next one."""
    first_step: bool = False
    """Before the optimizer has any state."""
    formats: Formats = field(default_factory=Formats)
    layout: Layout = field(default_factory=Layout)
    buffers: Buffers = field(default_factory=Buffers)
