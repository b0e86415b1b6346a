"""Which row of a ledger stands for a setting: the nearest one, with what it assumes said in words."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from launcher.catalog.ledgers import read_ledger
from launcher.planning.memory.setting import Setting

__all__ = ["Row", "Wanted", "find_row", "wanted_row"]

_WEIGHTS = {"device": 32, "precision": 16, "attention": 8, "dropout": 4, "activation": 2, "grouped": 1}
"""How much worse a row is for differing in a key: other kernels change more than another activation does."""

_SAME_KERNELS = ({"sdpa", "flash"}, {"gelu", "gelu_pytorch_tanh", "gelu_fast"})
"""Values that keep the same tensors: SDPA runs flash attention on CUDA; every fused gelu keeps its input."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What a row should be for."""

    device: str
    attention: str
    precision: str
    dropout: bool
    activation: str
    grouped: bool = False
    """Whether several queries share a key: some implementations copy keys and values then."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A row of a ledger file and what taking it assumes."""

    data: Mapping[str, Any]
    implementation: str
    family: str
    versions: str
    assumed: tuple[str, ...]
    activation: str
    """The activation it was measured with."""

    @property
    def said(self) -> str:
        """The ledger in words."""
        versions = f" ({self.versions})" if self.versions else ""
        return f"{self.implementation}/{self.family}{versions}"


def wanted_row(setting: Setting, *, dropout: bool, activation: str, grouped: bool) -> Wanted:
    """What a row has to be for, to stand for a setting."""
    formats = setting.formats
    precision = "autocast" if formats.autocast and formats.compute != "fp32" else formats.compute
    return Wanted(
        device="cpu" if setting.device_kind == "cpu" else "cuda",
        attention=setting.attention,
        precision={"fp16": "bf16", "fp8": "bf16"}.get(precision, precision),
        dropout=dropout,
        activation=activation,
        grouped=grouped,
    )


@cache
def find_row(implementation: str, family: str, wanted: Wanted) -> Row:
    """The row of a ledger that differs least from what is wanted.

    Raises KeyError where the catalog has no such ledger.
    """
    ledger = read_ledger(implementation, family)
    usual = str(ledger.get("describes", {}).get("activation", wanted.activation))
    unmasked = [row for row in ledger["rows"] if not row.get("mask", False)]
    best = min(unmasked, key=lambda row: _distance(row, wanted, usual))
    assumed = tuple(
        f"{name} {best[name]} for {getattr(wanted, name)}"
        for name in ("device", "precision", "attention", "dropout")
        if not _fits(best, name, wanted, usual)
    )
    return Row(
        data=best,
        implementation=implementation,
        family=family,
        versions=", ".join(f"{name} {version}" for name, version in (ledger.get("versions") or {}).items()),
        assumed=assumed,
        activation=str(best.get("activation", usual)),
    )


def _distance(row: Mapping[str, Any], wanted: Wanted, usual: str) -> int:
    return sum(weight for name, weight in _WEIGHTS.items() if not _fits(row, name, wanted, usual))


def _fits(row: Mapping[str, Any], name: str, wanted: Wanted, usual: str) -> bool:
    """Whether a row agrees in one key; a row without the key agrees with everything."""
    asked = getattr(wanted, name)
    return _same(row.get(name, usual if name == "activation" else asked), asked)


def _same(found: object, asked: object) -> bool:
    return found == asked or any(found in group and asked in group for group in _SAME_KERNELS)
