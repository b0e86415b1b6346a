"""Which families of a catalog lend the parts of a network: one whole where it matches, else the nearest for each.

A family that matches in norm, gate, activation and positions stands whole. Otherwise the nearest family lends what
matches, and norm, attention and feed-forward layer each come from a family that has them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache
from typing import NamedTuple

from launcher.catalog.ledgers import families, read_ledger
from launcher.planning.memory.kinds.families import FAMILIES, Family
from launcher.planning.memory.network import Network

__all__ = ["Lenders", "Style", "family_of", "lenders", "style_of"]


class Style(NamedTuple):
    """What a layer is made of, whoever wrote it."""

    norm: str
    gated: bool
    position: str
    activation: str
    bias: bool | None = None


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
    alike = tuple(name for name in _ASPECTS if name != "position")

    def apart(family: Family) -> int:
        # positions that leave a layer's bytes alone still come with tables and norms of their own
        moved = _ASPECTS["position"] if family.position != style.position else 0
        return _distance(_style(family), style, alike) + moved

    return min(fitting, key=apart)


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
    if _agrees(known[whole][1], style, (aspect,)) or (aspect == "gated" and known[whole][0] == "moe"):
        return whole  # a dense layer says nothing of experts
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

    def rank(name: str) -> tuple[int, bool, bool, bool, int, int]:
        its_kind, its_style = known[name]
        return (
            _distance(its_style, style, aspects),
            its_kind != kind,
            its_style.position == "relative" and its_kind != kind,  # its scores have a table beside them
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
