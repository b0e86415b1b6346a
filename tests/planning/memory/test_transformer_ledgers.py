"""Ledger files of language models: what they say of a family, and symbols that the memory model knows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from launcher.catalog.ledgers import families, implementations, read_ledger
from launcher.planning.memory.kinds.families import FAMILIES
from launcher.planning.memory.kinds.lending import lenders, style_of
from launcher.planning.memory.kinds.symbols import symbols
from launcher.planning.memory.network import Network
from launcher.planning.memory.setting import Setting

FILES = [
    (implementation, family)
    for implementation in implementations()
    for family in families(implementation)
    if "rows" in read_ledger(implementation, family)
]
LANGUAGE = [(implementation, family) for implementation, family in FILES if family in FAMILIES]
KEYS = {"device", "attention", "precision", "dropout", "activation"}


def polynomials(value: Any) -> Iterator[Mapping[str, float]]:
    """Every polynomial inside a row."""
    if isinstance(value, list):
        for item in value:
            yield from polynomials(item)
    elif isinstance(value, Mapping):
        if value and all(isinstance(each, int | float) for each in value.values()):
            yield value
        else:
            for item in value.values():
                yield from polynomials(item)


@pytest.mark.parametrize(("implementation", "name"), FILES)
def test_a_ledger_uses_symbols_that_have_a_value(implementation: str, name: str) -> None:
    """A symbol nobody computes would be a KeyError in somebody's plan."""
    known = {"1", *symbols(Network(kind="decoder"), Setting())}
    for row in read_ledger(implementation, name)["rows"]:
        assert row.keys() >= KEYS
        found = {name for part in polynomials(row) for term in part for name in term.split("*")}
        assert found <= known


@pytest.mark.parametrize(("implementation", "name"), LANGUAGE)
def test_a_ledger_describes_the_family_as_the_conventions_do(implementation: str, name: str) -> None:
    """One look at the conventions finds the family: files are only read once chosen."""
    described, family = read_ledger(implementation, name)["describes"], FAMILIES[name]
    assert (described["norm"], described["gated_mlp"]) == (family.norm, family.gated)
    assert described["position"] == family.position
    assert described.get("kind", family.kind) == family.kind


@pytest.mark.parametrize(("implementation", "name"), LANGUAGE)
def test_a_network_like_a_family_takes_that_family_whole(implementation: str, name: str) -> None:
    """Every part comes from one file, and from one that agrees in everything that decides what is kept."""
    family = FAMILIES[name]
    network = Network(
        kind=family.kind,
        norm=family.norm,
        gated_mlp=family.gated,
        position=family.position,
        activation=family.activation,
        bias=family.mlp_bias,
    )
    chosen = lenders(implementation=implementation, kind=family.kind, family=None, style=style_of(network))
    assert len(set(chosen[1:])) == 1
    alike = FAMILIES[chosen.whole]
    assert (alike.norm, alike.gated, alike.position) == (family.norm, family.gated, family.position)


def test_each_hand_written_ledger_says_where_it_comes_from() -> None:
    """Measured files carry the command that makes them again, the others a citation."""
    for implementation, name in FILES:
        ledger = read_ledger(implementation, name)
        assert ledger["regenerate"] or "@" in ledger["source"]
        assert ledger["versions"]
