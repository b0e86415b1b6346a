"""One ledger file of the catalog, measured from scratch. Imports torch."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.metadata import version
from itertools import product
from typing import Any

from launcher.measuring.ledgers.family import Family, Variant
from launcher.measuring.ledgers.passes import record
from launcher.measuring.ledgers.rows import make_row, parameters_of
from launcher.measuring.symbols import Fitter

__all__ = ["make_ledger", "variants_of"]


def make_ledger(family: Family) -> dict[str, Any]:
    """Everything the file says."""
    sets = [*family.sets, *family.held_out]
    fitter = Fitter([{name: each[name] for name in family.symbols} for each in sets])
    variants = list(variants_of(family))
    passes = [record(family, sizes, variants[0]) for sizes in sets]
    return {
        "implementation": family.implementation,
        "family": family.name,
        "versions": {name: version(name).split("+")[0] for name in sorted(family.versions)},
        "regenerate": f"python -m launcher.measuring.ledgers {family.implementation} {family.name}",
        "source": family.source,
        "describes": dict(family.describes),
        "parameters": parameters_of(family, passes, fitter),
        "rows": [make_row(family, variant, fitter) for variant in variants],
    }


def variants_of(family: Family) -> Iterator[Variant]:
    """Every row of the file, in its order."""
    for device, attention, precision, dropout, activation, mask in product(
        ("cpu", "cuda"),
        family.attentions,
        ("fp32", "bf16", "autocast"),
        family.dropouts,
        family.activations,
        family.masks,
    ):
        yield Variant(
            device=device,
            attention=attention,
            precision=precision,
            dropout=dropout,
            activation=activation,
            mask=mask,
        )
