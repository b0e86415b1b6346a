"""Hugging Face's vision transformer: the same parameters as torchvision's, the bytes of its ledger."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from launcher.planning.memory.kinds.rows import find_row, wanted_row
from launcher.planning.memory.kinds.symbols import bytes_of, casts_of, symbols
from launcher.planning.memory.network import Network
from launcher.planning.memory.part import Part
from launcher.planning.memory.setting import Setting

__all__ = ["measured_parts"]

_PIECES = ("norm", "attention", "core", "mlp")


def measured_parts(
    parts: tuple[Part, ...], network: Network, setting: Setting, *, tokens: int
) -> tuple[Part, ...]:
    """Embeddings, layer and head with the bytes that transformers' modules keep for `tokens` tokens of an image."""
    wanted = wanted_row(setting, dropout=network.dropout > 0, activation=network.activation, grouped=False)
    row = find_row("transformers", "vit", wanted)
    one = replace(setting, sequence_length=tokens)
    bytes_by = _Bytes(symbols(network, one), one)
    embeddings, body, head = parts
    first, layer, last = (row.data[name] for name in ("first", "layer", "last"))
    source = f"{row.implementation}/{row.family} ({row.versions})"
    return (
        replace(
            bytes_by.moments(embeddings, first),
            saved=bytes_by.value(first["saved"]),
            casts=bytes_by.value(casts_of(first["saved"])),
            source=source,
        ),
        replace(
            bytes_by.moments(body, row.data),
            saved=sum(bytes_by.value(layer[name]) for name in _PIECES),
            casts=sum(bytes_by.value(casts_of(layer[name])) for name in _PIECES),
            core=bytes_by.value(layer["core"]),
            recomputed=None,
            boundary=bytes_by.value(row.data["input"]),
            forward=max(bytes_by.value(one) for one in row.data["forward"]),
            source=source,
        ),
        replace(
            bytes_by.moments(head, last),
            saved=bytes_by.value(last["saved"]),
            logits=bytes_by.value(last["logits"]),
            loss=bytes_by.value(last["loss"]),
            casts=bytes_by.value(casts_of(last["saved"])),
            source=source,
        ),
    )


class _Bytes:
    """Polynomials of one network and setting in bytes."""

    def __init__(self, sizes: dict[str, float], setting: Setting) -> None:
        self._sizes, self._setting = sizes, setting

    def value(self, polynomial: Mapping[str, float]) -> int:
        return round(bytes_of(polynomial, self._sizes, self._setting))

    def moments(self, part: Part, piece: Mapping[str, Any]) -> Part:
        """The part with the worst moment of its backward pass, without and with gradients of its own."""
        held = [self.value(one) for one in piece.get("backward", ())]
        made = [self.value(one) for one in piece.get("backward_gradients", ())] or [0] * len(held)
        bare = max([0, *held])
        both = max((one + more for one, more in zip(held, made, strict=True)), default=0)
        return replace(
            part, backward=bare, backward_gradients=max(0, both - bare), forward=0, forward_beyond=0
        )
