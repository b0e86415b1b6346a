"""A stretch of a network: its parameters, and the bytes one copy keeps between forward and backward pass."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from launcher.planning.memory.network import Network
from launcher.planning.memory.setting import Setting

__all__ = ["Build", "Part", "Weights"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Weights:
    """Parameters that are held alike; counts are whole tensors, before anything is divided over ranks."""

    count: int
    """Parameters of one copy of the part."""
    split: Literal["none", "tensor", "expert"] = "none"
    """Along which axis ranks share them (beside data-parallel sharding)."""
    trained: int | None = None
    """Those that get gradients; None: all."""
    stored_bytes: float | None = None
    """Bytes of one stored parameter where it is not the formats' (a quantized base: 0.5)."""
    largest: int = 0
    """Parameters of the largest tensor."""
    tied: bool = False
    """The same tensor as one of the first part: counted once, but held twice on a pipeline's two ends."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """`repeat` equal copies in a row; bytes of one micro-batch on one rank, tensor and context sharing applied."""

    name: str
    """embeddings, layer, encoder, decoder, head, conv1 ..."""
    place: Literal["first", "body", "last"] = "body"
    """first, last: on the first or last pipeline stage; body: layers, shared evenly by the stages."""
    repeat: int = 1
    weights: tuple[Weights, ...] = ()
    saved: int = 0
    """Kept for the backward pass, without checkpointing."""
    core: int = 0
    """Share of saved that selective checkpointing computes again."""
    boundary: int = 0
    """Kept of one copy when it is checkpointed whole: its input."""
    recomputed: int | None = None
    """Kept beside its input while a copy that was checkpointed is in its backward pass; None: saved - boundary."""
    backward: int = 0
    """Held at once inside the backward pass of one copy, beyond what is saved and beyond gradients of parameters."""
    backward_gradients: int = 0
    """How much more the copy's own new gradients make of the worst moment, where gradients do not outlive a step."""
    forward: int = 0
    """Held at once inside the forward pass of one copy, beyond what is saved."""
    forward_beyond: int = 0
    """Held at once inside the forward pass beyond all that one copy saves; 0 where its worst moment comes early."""
    loss: int = 0
    """Last part only: held at the first operation of the backward pass beyond what is saved (gradients of logits)."""
    logits: int = 0
    """Last part only: share of saved that belongs to logits and loss."""
    stranded: int = 0
    """Last part only: blocks of the forward pass that the allocator keeps, and that are too small for its end."""
    casts: int = 0
    """Share of saved that does not grow with micro-batches in flight: autocast copies of weights."""
    buffer: int = 0
    """Kept from step to step by one rank for all copies together, and shared by parts: the largest one counts."""
    workspace: int = 0
    """Most a library may take for itself while it runs one copy, where nobody can say how much: widens the band."""
    checkpointable: bool = True
    source: str = ""
    """Where the saved bytes come from: implementation, family and versions, or a formula's citation."""


Build = Callable[[Network, Setting], tuple[Part, ...]]
"""What a model kind is to this model: its parts, in order."""
