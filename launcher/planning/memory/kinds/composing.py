"""Bytes of a transformer's layer from the ledgers, put together from the families that lend its parts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

from launcher.planning.memory.kinds.lending import Lenders
from launcher.planning.memory.kinds.rows import Row, Wanted, find_row
from launcher.planning.memory.polynomial import Polynomial, added

__all__ = ["LayerBytes", "layer_bytes", "of_both", "over_targets", "piece"]


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerBytes:
    """Polynomials of one layer."""

    norm: Polynomial
    attention: Polynomial
    core: Polynomial
    mlp: Polynomial
    boundary: Polynomial
    backward: tuple[tuple[Polynomial, Polynomial], ...]
    """What one moment of the backward pass holds, and the parameters' gradients made by then."""
    forward: tuple[Polynomial, ...]
    source: str


@cache
def layer_bytes(
    chosen: Lenders, wanted: Wanted, *, attention_dropout: bool, part: str = "layer"
) -> LayerBytes:
    """Polynomials of a layer put together from the chosen families' rows.

    Where attention and hidden dropout differ, the attention core comes from the row with the one and the rest from
    the row with the other.
    """
    names = {name: getattr(chosen, name) for name in ("whole", "norm", "attention", "mlp")}
    rows = {name: find_row(chosen.implementation, family, wanted) for name, family in names.items()}
    core = find_row(chosen.implementation, chosen.attention, _with_dropout(wanted, dropout=attention_dropout))
    mlp, note = _activated(piece(rows["mlp"], part, "mlp"), rows["mlp"], wanted)
    return LayerBytes(
        norm=piece(rows["norm"], part, "norm"),
        attention=_attention(
            rows["attention"], chosen, wanted, attention_dropout=attention_dropout, part=part
        ),
        core=piece(core, part, "core"),
        mlp=mlp,
        boundary=_of_row(rows["whole"], "input", part, {}),
        backward=tuple(_moments(rows, part)),
        forward=tuple(
            polynomial for row in _distinct(rows) for polynomial in _of_row(row, "forward", part, ())
        ),
        source=_source(chosen, (*rows.values(), core), note),
    )


def _attention(
    row: Row, chosen: Lenders, wanted: Wanted, *, attention_dropout: bool, part: str
) -> Polynomial:
    """Bytes around the attention core; where the two dropouts differ, the kernel's and the residual's own.

    SDPA takes another kernel on CPU for scores with dropout, which keeps other tensors; what the residual's dropout
    adds is the same with eager attention, whose pieces differ in nothing else.
    """
    if attention_dropout == wanted.dropout or wanted.attention == "eager":
        return piece(row, part, "attention")
    eager = replace(wanted, attention="eager")
    kernel, residual, without = (
        piece(find_row(chosen.implementation, chosen.attention, each), part, "attention")
        for each in (
            _with_dropout(wanted, dropout=attention_dropout),
            eager,
            _with_dropout(eager, dropout=attention_dropout),
        )
    )
    return added(kernel, added(residual, without, -1))


def _with_dropout(wanted: Wanted, *, dropout: bool) -> Wanted:
    return replace(wanted, dropout=dropout)


def piece(row: Row, part: str, name: str) -> Polynomial:
    """One piece of a row's part; of a layer without cross-attention where the row has no other."""
    own = row.data.get(part)
    if own is not None:
        return added(
            own.get(name, {}), own.get({"attention": "cross", "core": "cross_core"}.get(name, ""), {})
        )
    other = row.data.get("layer") or row.data.get("encoder")
    assert other is not None, f"{row.implementation}/{row.family} has no {part}"
    found: Polynomial = other.get(name, {})
    return over_targets(found, crossed=name in ("attention", "core")) if part == "decoder" else found


def of_both(row: Row) -> bool:
    """Whether a row was measured with an encoder and a decoder."""
    return "decoder" in row.data


def over_targets(polynomial: Polynomial, *, crossed: bool) -> Polynomial:
    """A self-attending layer's piece over a decoder's tokens, a second time over those of the encoder if crossed.

    Keys and values of cross-attention come out of the encoder's tokens, all else out of the decoder's.
    """
    own = {_renamed(names, t="u", s="r"): value for names, value in polynomial.items()}
    if not crossed:
        return own
    other = {
        names if "kv" in names.split("*") else _renamed(names, t="u"): value
        for names, value in polynomial.items()
    }
    return added(own, other)


def _renamed(names: str, **new: str) -> str:
    return "*".join(new.get(name, name) for name in names.split("*"))


def _of_row(row: Row, name: str, part: str, missing: Any) -> Any:
    """A value of one part: under its own name where a row has several parts."""
    own = row.data.get(f"{part}_{name}")
    if own is not None:
        return own
    found = row.data.get(name, row.data.get(f"encoder_{name}", missing))
    if part != "decoder":
        return found
    return (
        over_targets(found, crossed=False)
        if isinstance(found, Mapping)
        else [over_targets(each, crossed=False) for each in found]
    )


def _moments(rows: Mapping[str, Row], part: str) -> Iterator[tuple[Polynomial, Polynomial]]:
    for row in _distinct(rows):
        held = _of_row(row, "backward", part, ())
        made = _of_row(row, "backward_gradients", part, ())
        yield from zip(held, made or [{}] * len(held), strict=True)


def _distinct(rows: Mapping[str, Row]) -> list[Row]:
    return list({(row.family, id(row.data)): row for row in rows.values()}.values())


_KEPT = {"relu": 0, "tanh": 0, "sigmoid": 0, "gelu_new": 4, "gelu_fast": 4}
"""Copies of its input's size that an activation keeps beside its output; fused ones (gelu, silu) keep their input.

Source: transformers@5.23.0 activations.py NewGELUActivation (four saved intermediates); torch@2.13.0
tools/autograd/derivatives.yaml: relu, tanh and sigmoid save `result`, gelu and silu save `self`.
"""


def _activated(mlp: Polynomial, row: Row, wanted: Wanted) -> tuple[Polynomial, str]:
    """A feed-forward layer's polynomial with another activation than it was measured with."""
    if row.activation == wanted.activation:
        return mlp, ""
    more = _KEPT.get(wanted.activation, 1) - _KEPT.get(row.activation, 1)
    width = next((name for name in ("t*f", "u*f", "t*k*g") if name in mlp), None)
    if more == 0 or width is None:
        return mlp, ""
    size = 4 if wanted.precision == "fp32" else 2
    return {
        **mlp,
        width: mlp[width] + more * size,
    }, f"{wanted.activation} in place of {row.activation} by formula"


def _source(chosen: Lenders, rows: tuple[Row, ...], note: str) -> str:
    lent = [
        f"{name} of {family}"
        for name, family in (("norm", chosen.norm), ("attention", chosen.attention), ("mlp", chosen.mlp))
        if family != chosen.whole
    ]
    assumed = sorted({text for row in rows for text in row.assumed})
    return "; ".join([rows[0].said, *lent, *assumed, *([note] if note else [])])
