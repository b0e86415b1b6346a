"""Parameters of a transformer's parts, grouped by how ranks hold them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Literal

from launcher.planning.memory.kinds.matrices import Matrix
from launcher.planning.memory.kinds.training import adapted, is_trained, stored_bytes
from launcher.planning.memory.network import Network
from launcher.planning.memory.part import Weights

__all__ = ["adapter_weights", "grouped", "matrix_weights", "vectors"]

Split = Literal["none", "tensor", "expert"]


def matrix_weights(network: Network, matrices: Iterable[Matrix], *, part: str = "layer") -> Iterator[Weights]:
    """Weights of linear layers and of the adapters beside them."""
    for matrix in matrices:
        trained = is_trained(network, matrix.name, part=part)
        split: Split = "tensor" if matrix.split in ("columns", "rows") else _split(matrix)
        yield Weights(
            count=matrix.elements,
            split=split,
            trained=None if trained else 0,
            stored_bytes=stored_bytes(network, matrix),
            largest=matrix.elements,
        )
        if matrix.bias:
            held: Split = "tensor" if matrix.split == "columns" else _split(matrix)
            yield Weights(
                count=matrix.biases, split=held, trained=None if trained else 0, largest=matrix.biases
            )
        if adapted(network, matrix):
            yield from adapter_weights(network, matrix)


def adapter_weights(network: Network, matrix: Matrix) -> Iterator[Weights]:
    """The two factors of a low-rank update; the one that faces the divided axis is divided too.

    PEFT holds them in fp32 where the base is in 16 bits or quantized.
    Source: huggingface/peft@v0.17.0 tuners/tuners_utils.py `cast_adapter_dtype` (autocast_adapter_dtype=True).
    """
    assert network.adapter is not None
    rank = network.adapter.rank
    into, out = rank * matrix.inputs, rank * matrix.outputs
    stored = 4.0 if network.implementation == "transformers" else None
    yield Weights(
        count=into, split="tensor" if matrix.split == "rows" else "none", largest=into, stored_bytes=stored
    )
    yield Weights(
        count=out, split="tensor" if matrix.split == "columns" else "none", largest=out, stored_bytes=stored
    )


def vectors(network: Network, count: int, *, name: str = "norm", part: str = "layer") -> Iterator[Weights]:
    """Small tensors that every rank holds whole: norms, router biases."""
    if count:
        trained = None if is_trained(network, name, part=part) else 0
        yield Weights(count=count, trained=trained, largest=network.hidden_size)


def grouped(weights: Iterable[Weights]) -> tuple[Weights, ...]:
    """The same parameters with those that are held alike added up."""
    groups: dict[tuple[object, ...], Weights] = {}
    for one in weights:
        key = (one.split, one.stored_bytes, one.tied, one.trained == 0)
        groups[key] = _sum(groups[key], one) if key in groups else one
    return tuple(groups.values())


def _sum(one: Weights, other: Weights) -> Weights:
    return Weights(
        count=one.count + other.count,
        split=one.split,
        trained=one.trained,
        stored_bytes=one.stored_bytes,
        largest=max(one.largest, other.largest),
        tied=one.tied,
    )


def _split(matrix: Matrix) -> Split:
    return "expert" if matrix.split == "expert" else "none"
