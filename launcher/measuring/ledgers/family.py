"""What the measurement must know about a family of models: how to build a small one, feed it and name its places."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

__all__ = ["Family", "Sizes", "Stack", "Variant"]

Sizes = Mapping[str, int]
"""Dimensions of one small model; the names are the ledgers' and a few of the family's own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Variant:
    """One row of a ledger: everything but the dimensions that changes what is saved."""

    device: str
    """cpu: the CPU's own kernels; cuda: CUDA's saved tensors, emulated."""
    attention: str
    precision: str
    """fp32, bf16 (parameters too) or autocast (fp32 parameters, computed in bf16)."""
    dropout: bool
    activation: str
    mask: bool = False
    """With padded sequences, hence a mask."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stack:
    """Layers that follow each other."""

    name: str
    """Part of the ledger: layer, encoder, decoder ..."""
    path: str
    """Dotted path of the list of layers."""
    places: Mapping[str, str]
    """Submodules of one layer: norm, attention, mlp; what has no name belongs to the module around it."""
    rest: str = "norm"
    """Where a layer's own operations belong."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Family:
    """One file of the catalog."""

    implementation: str
    name: str
    source: str
    describes: Mapping[str, Any]
    symbols: tuple[str, ...]
    """Names in the polynomials, the preferred one first where two say the same."""
    sets: tuple[Sizes, ...]
    """Dimensions of the models that are measured; pairwise independent."""
    held_out: tuple[Sizes, ...]
    """Dimensions on which the polynomials are checked."""
    build: Callable[[Sizes, Variant], Any]
    """A model in training mode, fp32."""
    call: Callable[[Any, Sizes, Variant], Callable[[], Any]]
    """Prepares inputs; the answer is one forward pass, returning (loss, what the caller also gets)."""
    stacks: tuple[Stack, ...]
    activations: tuple[str, ...]
    """The family's own first."""
    attentions: tuple[str, ...] = ("eager", "sdpa")
    dropouts: tuple[bool, ...] = (False, True)
    masks: tuple[bool, ...] = (False,)
    grouped: bool = False
    """Whether keys and values may have fewer heads, as in `sets`; the same with as many as queries is measured too."""
    first_parameters: tuple[str, ...] = ("embed", "wte", "wpe", "shared", "patch")
    """Words in the names of the first part's parameters."""
    rename: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    """By place: symbols to be called otherwise there, where the module cannot tell two dimensions apart."""
    versions: tuple[str, ...] = ("torch",)
