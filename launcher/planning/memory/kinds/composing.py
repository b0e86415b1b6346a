"""Bytes of a transformer's layer from the ledgers: one family's where it matches, else parts of several.

A family that matches in norm, gate, activation and positions stands whole. Otherwise the nearest family lends what
matches, and norm, attention and feed-forward layer each come from a family that has them; the source says which.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cache
from typing import Any, NamedTuple

from launcher.catalog.ledgers import families, read_ledger
from launcher.planning.memory.kinds.families import FAMILIES, Family
from launcher.planning.memory.kinds.rows import Row, Wanted, find_row
from launcher.planning.memory.network import Network
from launcher.planning.memory.polynomial import Polynomial, added

__all__ = [
    "LayerBytes",
    "Lenders",
    "Style",
    "family_of",
    "layer_bytes",
    "lenders",
    "over_targets",
    "piece",
    "style_of",
]


class Style(NamedTuple):
    """What a layer is made of, whoever wrote it."""

    norm: str
    gated: bool
    position: str
    activation: str
    bias: bool | None = None


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


class Lenders(NamedTuple):
    """The families that lend the parts of a network, all of one implementation."""

    implementation: str
    whole: str
    norm: str
    attention: str
    mlp: str


def style_of(network: Network) -> Style:
    """What a network's layers are made of."""
    position = "rotary" if network.kv_latent_dim else network.position
    return Style(network.norm, network.gated_mlp, position, network.activation, network.bias)


def family_of(network: Network) -> Family:
    """Conventions of a network's family: the named one's, else those of the nearest of its kind."""
    if network.family in FAMILIES:
        return FAMILIES[network.family]
    return _nearest_family("moe" if network.num_experts else network.kind, style_of(network))


@cache
def _nearest_family(kind: str, style: Style) -> Family:
    fitting = [family for family in FAMILIES.values() if family.kind == kind] or list(FAMILIES.values())
    return min(fitting, key=lambda family: _distance(_style(family), style))


@cache
def lenders(*, implementation: str, kind: str, family: str | None, style: Style) -> Lenders:
    """Which family lends which part.

    Raises KeyError where the implementation has no ledger of the family, or none at all.
    """
    if family is not None:
        read_ledger(implementation, family)
        return Lenders(implementation, family, family, family, family)
    known = dict(_described(implementation))
    if not known:
        raise KeyError(implementation)
    same = {name: value for name, value in known.items() if value[0] == kind}
    whole = _nearest(same or known, style, kind, ("norm", "gated", "position", "activation"))
    return Lenders(
        implementation,
        whole,
        *(_lender(known, whole, style, kind, aspect) for aspect in ("norm", "position", "gated")),
    )


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
        attention=piece(rows["attention"], part, "attention"),
        core=piece(core, part, "core"),
        mlp=mlp,
        boundary=_of_row(rows["whole"], "input", part, {}),
        backward=tuple(_moments(rows, part)),
        forward=tuple(
            polynomial for row in _distinct(rows) for polynomial in _of_row(row, "forward", part, ())
        ),
        source=_source(chosen, (*rows.values(), core), note),
    )


def _described(implementation: str) -> Iterator[tuple[str, tuple[str, Style]]]:
    for name in families(implementation):
        known = FAMILIES.get(name)
        if known is not None:
            yield name, (known.kind, _style(known))
            continue
        written = read_ledger(implementation, name).get("describes", {})
        if "kind" not in written:
            continue  # not a language model
        style = Style(
            written.get("norm", ""),
            bool(written.get("gated_mlp", False)),
            written.get("position", ""),
            written.get("activation", ""),
            written.get("bias"),
        )
        yield name, (str(written.get("kind", "vit" if name == "vit" else "decoder")), style)


def _style(family: Family) -> Style:
    return Style(family.norm, family.gated, family.position, family.activation, family.mlp_bias)


def _lender(known: Mapping[str, tuple[str, Style]], whole: str, style: Style, kind: str, aspect: str) -> str:
    """The family that lends a part: the whole's own unless only another one agrees."""
    if _agrees(known[whole][1], style, (aspect,)):
        return whole
    other = _nearest(known, style, kind, (aspect,))
    return other if _agrees(known[other][1], style, (aspect,)) else whole


_UNPLACED = ({"none", "learned", "alibi"}, {"none", "relative"})
"""Positions with which a layer computes alike: queries and keys are not turned; relative ones add a table to scores."""
_ASPECTS = {"gated": 16, "norm": 8, "position": 4, "activation": 2, "bias": 1}


def _nearest(
    known: Mapping[str, tuple[str, Style]], style: Style, kind: str, aspects: tuple[str, ...]
) -> str:
    """The family that agrees best in these aspects, then in kind, then in all, then in our order of families.

    A family with more norms in a layer than most lends its parts last; what an activation keeps is known anyway.
    """
    order = list(FAMILIES)
    others = tuple(name for name in _ASPECTS if name != "activation")

    def rank(name: str) -> tuple[int, bool, bool, int, int]:
        its_kind, its_style = known[name]
        return (
            _distance(its_style, style, aspects),
            its_kind != kind,
            name in FAMILIES and FAMILIES[name].norms > 2,
            _distance(its_style, style, others),
            order.index(name) if name in FAMILIES else len(order),
        )

    return min(known, key=rank)


def _distance(one: Style, other: Style, aspects: tuple[str, ...] = tuple(_ASPECTS)) -> int:
    return sum(_ASPECTS[name] for name in aspects if not _agrees(one, other, (name,)))


def _agrees(one: Style, other: Style, aspects: tuple[str, ...]) -> bool:
    return all(_same(name, getattr(one, name), getattr(other, name)) for name in aspects)


def _same(aspect: str, one: object, other: object) -> bool:
    if one == other:
        return True
    if aspect == "bias":
        return None in (one, other)
    return aspect == "position" and any(one in group and other in group for group in _UNPLACED)


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
    whole = rows[0]
    said = f"{chosen.implementation}/{chosen.whole}" + (f" ({whole.versions})" if whole.versions else "")
    lent = [
        f"{name} of {family}"
        for name, family in (("norm", chosen.norm), ("attention", chosen.attention), ("mlp", chosen.mlp))
        if family != chosen.whole
    ]
    assumed = sorted({text for row in rows for text in row.assumed})
    return "; ".join([said, *lent, *assumed, *([note] if note else [])])
