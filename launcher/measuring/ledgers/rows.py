"""Rows of a ledger from recorded passes, checked on dimensions that no row was made from."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import Any

from launcher.measuring.ledgers.aligned import Aligned, align
from launcher.measuring.ledgers.family import Family, Sizes, Variant
from launcher.measuring.ledgers.passes import LAYERS, Pass, record
from launcher.measuring.ledgers.transients import Peak, backward_peaks, forward_peaks
from launcher.measuring.symbols import Fitter, InexactError, Poly, add, as_data

__all__ = ["make_row", "parameters_of"]


def make_row(family: Family, variant: Variant, sets: Sequence[Sizes], fitter: Fitter) -> dict[str, Any]:
    """One row, as the file has it; the fitter knows the sets."""
    passes = [record(family, sizes, variant) for sizes in sets]
    aligned = align(passes, fitter)
    saved = _saved(aligned)
    row: dict[str, Any] = {
        "device": variant.device,
        "attention": variant.attention,
        "precision": variant.precision,
        "dropout": variant.dropout,
        "activation": variant.activation,
    }
    if len(family.masks) > 1:
        row["mask"] = variant.mask
    row["first"] = {
        "saved": _data(family, "first", _first(family, saved)),
        **_with_gradients(
            family, backward_peaks(aligned, f"backward of {family.stacks[0].name}.0 ends", "end")
        ),
    }
    for stack in family.stacks:
        row |= _stack(family, aligned, saved, stack.name, passes=passes, fitter=fitter)
    row["last"] = _last(family, aligned, saved, passes, fitter)
    return row


def _saved(aligned: Aligned) -> dict[str, dict[str, Fraction]]:
    """Bytes by place."""
    places: dict[str, list[Poly]] = {}
    for seen in aligned.saved():
        assert seen.saved_in is not None
        places.setdefault(seen.saved_in, []).append(aligned.polys[seen.number])
    return {place: add(polys) for place, polys in places.items()}


def _first(family: Family, saved: Mapping[str, Poly]) -> dict[str, Fraction]:
    """What is saved before the layers, and what the first layer saves for all of them (masks, rotations)."""
    parts = [saved.get("first", {})]
    for stack in family.stacks:
        for index in (0, LAYERS - 1):
            parts += [
                _whole(saved, f"{stack.name}.{index}"),
                add([_whole(saved, f"{stack.name}.1")], sign=-1),
            ]
    return add(parts)


def _whole(saved: Mapping[str, Poly], layer: str) -> dict[str, Fraction]:
    return add(poly for place, poly in saved.items() if place.startswith(f"{layer}."))


def _stack(
    family: Family,
    aligned: Aligned,
    saved: Mapping[str, Poly],
    name: str,
    *,
    passes: Sequence[Pass],
    fitter: Fitter,
) -> dict[str, Any]:
    parts = [
        part
        for part in ("norm", "attention", "core", "cross", "cross_core", "mlp")
        if _has(saved, name, part)
    ]
    layer = {part: _data(family, part, saved.get(f"{name}.1.{part}", {})) for part in parts}
    backward = backward_peaks(aligned, f"backward of {name}.1 begins", f"backward of {name}.1 ends")
    forward = forward_peaks(aligned, f"enter {name}.1", f"leave {name}.1")
    found: dict[str, Any] = {
        name: layer,
        "input": _data(family, "input", fitter.fit([each.inputs[name] for each in passes])),
        **_with_gradients(family, backward),
        "forward": [_data(family, "layer", beyond) for beyond, _ in forward],
    }
    if len(family.stacks) == 1:
        return found
    return {key if key == name else f"{name}_{key}": value for key, value in found.items()}


def _has(saved: Mapping[str, Poly], name: str, part: str) -> bool:
    return part in ("norm", "attention", "core", "mlp") or f"{name}.1.{part}" in saved


def _with_gradients(family: Family, peaks: Sequence[Peak]) -> dict[str, Any]:
    return {
        "backward": [_data(family, "layer", beyond) for beyond, _ in peaks],
        "backward_gradients": [_data(family, "layer", gradients) for _, gradients in peaks],
    }


def _last(
    family: Family, aligned: Aligned, saved: Mapping[str, Poly], passes: Sequence[Pass], fitter: Fitter
) -> dict[str, Any]:
    stack = family.stacks[-1].name
    peaks = backward_peaks(aligned, "backward", f"backward of {stack}.{LAYERS - 1} begins")
    logits = {
        term: c
        for term, c in saved.get("last", {}).items()
        if "V" in term.split("*") and not {"t", "u", "b"}.isdisjoint(term.split("*"))
    }
    found: dict[str, Any] = {
        "saved": _data(family, "last", saved.get("last", {})),
        "logits": _data(family, "last", logits),
        "loss": _data(family, "last", next((beyond for beyond, gradients in peaks if not gradients), {})),
        "outputs": _data(family, "last", fitter.fit([each.outputs for each in passes])),
        **_with_gradients(family, peaks),
    }
    return found


def parameters_of(family: Family, passes: Sequence[Pass], fitter: Fitter) -> dict[str, Any]:
    """Parameters by part: all, those in linear weights, each size of matrix, and those shared with the first part."""
    counts = {name: fitter.fit([each.parameters[name] for each in passes]) for name in passes[0].parameters}
    parts: dict[str, dict[str, Poly]] = {}
    for name, poly in counts.items():
        parts.setdefault(_part(family, name), {})[name] = poly
    for stack in family.stacks:
        middle = _own_names(parts.pop(f"{stack.name}.1"))
        for index in (0, 2):
            named = parts.pop(f"{stack.name}.{index}")
            own = _own_names(named)
            # what only the first layer has serves them all (T5's relative positions)
            parts["first"] |= {
                name: poly for name, poly in named.items() if index == 0 and _own(name) not in middle
            }
            if any(own.get(name) != poly for name, poly in middle.items()):
                raise InexactError(f"layer {index} of {stack.name} has other parameters than layer 1")
        parts[stack.name] = middle
    return {part: _weights(family, part, named, passes[0]) for part, named in parts.items()}


def _own(name: str) -> str:
    """A parameter's name inside its layer."""
    return re.split(r"\.\d+\.", name, maxsplit=1)[1]


def _own_names(named: Mapping[str, Poly]) -> dict[str, Poly]:
    return {_own(name): poly for name, poly in named.items()}


def _part(family: Family, name: str) -> str:
    for stack in family.stacks:
        if name.startswith(f"{stack.path}."):
            return f"{stack.name}.{name.removeprefix(stack.path + '.').split('.')[0]}"
    return (
        "first" if any(f"{word}" in name for word in ("embed", "wte", "wpe", "shared", "patch")) else "last"
    )


def _weights(family: Family, part: str, named: Mapping[str, Poly], seen: Pass) -> dict[str, Any]:
    own = {name: poly for name, poly in named.items() if name not in seen.tied}
    linear = seen.linear | {_own(name) for name in seen.linear if re.search(r"\.\d+\.", name)}
    largest: list[Poly] = []
    for poly in own.values():
        if "*" in "".join(poly) and poly not in largest:
            largest.append(poly)
    found: dict[str, Any] = {
        "count": _data(family, part, add(own.values())),
        "linear": _data(family, part, add(poly for name, poly in own.items() if name in linear)),
        "largest": [_data(family, part, poly) for poly in largest],
    }
    tied = add(poly for name, poly in named.items() if name in seen.tied)
    if tied:
        found["tied"] = _data(family, part, tied)
    return found


def _data(family: Family, place: str, poly: Poly) -> dict[str, int | float]:
    """A polynomial for the file, with the names this place uses."""
    names = family.rename.get(place, {})
    return as_data(
        add(
            {"*".join(sorted((names.get(each, each) for each in term.split("*")), key=_rank)): c}
            for term, c in poly.items()
        )
    )


_RANK = ("t", "u", "b", "s", "r", "k", "h", "q", "kv", "a", "G", "d", "E", "f", "g", "V", "n", "P", "p")


def _rank(name: str) -> int:
    return _RANK.index(name) if name in _RANK else len(_RANK)
