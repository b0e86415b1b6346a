"""What `batchwright sharpness` prints: each number beside its limit and its source, and what was not measured."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from launcher.reporting.columns import labelled, table
from launcher.units import show_count, show_rate

__all__ = ["sharpness_text"]

_LIMITLESS = {
    "adam": "a limit exists for the preconditioned one",
    "adamw": "a limit exists for the preconditioned one",
}


def sharpness_text(found: Mapping[str, Any]) -> list[str]:
    """Lines of at most 100 characters."""
    return [
        *_head(found),
        "",
        *table(("measured", "value", "+-", "limit", "from", "source"), list(_rows(found))),
        "",
        *(line for label, words in _notes(found) for line in labelled(label, [words])),
    ]


def _head(found: Mapping[str, Any]) -> Iterator[str]:
    shapes = ", ".join(" x ".join(map(str, shape)) for shape in found["batch"]["shapes"]) or "no tensor"
    yield f"{found['module']} at {found['checkpoint'].rpartition('/')[2]}   {_at(found)}"
    yield f"batch   {shapes} ({found['batch']['from'].rpartition('/')[2]}), fp32, dropout off, {found['device']}"
    yield f"loss    {found['loss']:.5g}, gradient norm {found['gradient_norm']:.4g}"
    if found["learning_rate"] is None:
        yield f"rate    {found['learning_rate_from']}"
    else:
        yield f"rate    {show_rate(found['learning_rate'])}, {found['learning_rate_from']}"


def _at(found: Mapping[str, Any]) -> str:
    words = [f"{show_count(found['parameters'])} parameters"]
    if found["samples"] is not None:
        words.append(f"{show_count(found['samples'])} samples seen")
    return ", ".join([*words, f"{found['seconds']:.1f} s"])


def _rows(found: Mapping[str, Any]) -> Iterator[tuple[str, str, str, str, str, str]]:
    limits = {limit["of"]: limit for limit in found["limits"]}

    def row(name: str, key: str, value: float | None, off: str) -> tuple[str, str, str, str, str, str]:
        limit = limits.get(key)
        shown = "-" if value is None else f"{value:,.4g}"
        if limit is None:
            return name, shown, off, "-", "-", "-"
        return name, shown, off, f"{limit['value']:,.6g}", limit["formula"], limit["source"]

    for key, name in (("hessian", "largest eigenvalue"), ("preconditioned", "the same, preconditioned")):
        one = found[key]
        if one is not None:
            yield row(name, key, one["value"], "-" if one["value"] is None else f"{one['residual']:.2g}")
    yield row("critical sharpness", "critical", found["critical"]["sharpness"], "1 %")
    yield row(f"rise within {found['rise']['rho']:g}", "rise", found["rise"]["value"], "-")


def _notes(found: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for key in ("hessian", "preconditioned"):
        one = found[key]
        if one is not None and one["value"] is None:
            yield "note", f"no eigenvalue: {one['why']}; critical sharpness needs forward passes only"
            break
        if one is not None and not one["converged"]:
            words = (
                f"after {one['products']} products the eigenvalue is still off by up to the number under +-"
            )
            yield "note", f"{words}, and not smaller than shown: --iterations {2 * one['products']}"
            break
    critical = found["critical"]
    if critical["sharpness"] is None:
        yield "note", f"no critical sharpness: {critical['why']}"
    yield "update", critical["update"]
    if not critical["own"] and found["optimizer"] in _LIMITLESS:
        yield (
            "note",
            f"for {found['optimizer']} {_LIMITLESS[found['optimizer']]}: save the optimizer's state too",
        )
    if found["batch"]["constant"]:
        words = "every entry of the batch is the same: such a number says nothing of your data"
        yield "note", f"{words}; give a batch with --batch"
    above = _above(found)
    if above:
        yield "above", f"{' and '.join(above)}: on a quadratic loss, steps of this rate would run away"
    yield "", "a measurement on one batch, not a forecast: docs/explanation/sharpness.md"


def _above(found: Mapping[str, Any]) -> Sequence[str]:
    values = {
        "hessian": found["hessian"]["value"],
        "preconditioned": (found["preconditioned"] or {}).get("value"),
        "critical": found["critical"]["sharpness"],
    }
    names = {"hessian": "largest eigenvalue", "preconditioned": "preconditioned eigenvalue"}
    return [
        names.get(limit["of"], "critical sharpness")
        for limit in found["limits"]
        if (values[limit["of"]] or 0) > limit["value"]
    ]
