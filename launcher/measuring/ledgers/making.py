"""One ledger file of the catalog, measured from scratch. Imports torch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from importlib.metadata import version
from itertools import product
from typing import Any

from launcher.measuring.ledgers.family import Family, Sizes, Variant
from launcher.measuring.ledgers.passes import record
from launcher.measuring.ledgers.rows import make_row, parameters_of
from launcher.measuring.symbols import Fitter

__all__ = ["make_ledger", "variants_of"]


def make_ledger(family: Family) -> dict[str, Any]:
    """Everything the file says."""
    sets = [*family.sets, *family.held_out]
    fitter = _fitter(family, sets)
    variants = list(variants_of(family))
    passes = [record(family, sizes, variants[0]) for sizes in sets]
    rows = [make_row(family, variant, sets, fitter) for variant in variants]
    if family.grouped:
        rows = _with_all_heads(family, variants, rows)
    return {
        "implementation": family.implementation,
        "family": family.name,
        "versions": {name: version(name).split("+")[0] for name in sorted(family.versions)},
        "regenerate": f"python -m launcher.measuring.ledgers {family.implementation} {family.name}",
        "source": family.source,
        "describes": dict(family.describes),
        "parameters": parameters_of(family, passes, fitter),
        "rows": rows,
    }


def _fitter(family: Family, sets: Sequence[Sizes]) -> Fitter:
    return Fitter([{name: each[name] for name in family.symbols} for each in sets])


def _with_all_heads(
    family: Family, variants: Sequence[Variant], rows: Sequence[dict[str, Any]]
) -> list[dict[str, Any]]:
    """The rows; where keys and values with all heads save other tensors there are two, told apart by `grouped`."""
    sets = [{**each, "G": each["a"], "kv": each["q"]} for each in (*family.sets, *family.held_out)]
    fitter = _fitter(family, sets)
    result = []
    for variant, row in zip(variants, rows, strict=True):
        other = make_row(family, variant, sets, fitter)
        if _saved_in(other) == _saved_in(row):
            result.append(row)
        else:
            result += [_marked(row, grouped=True), _marked(other, grouped=False)]
    return result


def _saved_in(row: Mapping[str, Any]) -> list[dict[str, float]]:
    """What is saved, were there as many key-value heads as heads."""
    parts = [*row["layer"].values(), row["first"]["saved"], row["last"]["saved"]]
    result = []
    for part in parts:
        whole: dict[str, float] = {}
        for term, coefficient in part.items():
            name = "*".join({"kv": "q", "G": "a"}.get(each, each) for each in term.split("*"))
            whole[name] = whole.get(name, 0) + coefficient
        result.append(whole)
    return result


def _marked(row: Mapping[str, Any], *, grouped: bool) -> dict[str, Any]:
    place = list(row).index("first")
    items = list(row.items())
    return dict([*items[:place], ("grouped", grouped), *items[place:]])


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
        if mask and activation != family.activations[0]:
            continue
        yield Variant(
            device=device,
            attention=attention,
            precision=precision,
            dropout=dropout,
            activation=activation,
            mask=mask,
        )
