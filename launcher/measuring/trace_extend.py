"""From a few sizes to any: traces at small sizes become polynomials, and are held against sizes left out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from launcher.measuring.trace_fit import Fit, Size
from launcher.measuring.trace_parts import Differs, composed, fit_parts, grown, rows_of
from launcher.measuring.trace_step import StepTrace

__all__ = ["Traces", "extended"]

_DEPTHS = (3, 4)
"""Layers from which any depth follows: the first, the last, and one or two between them."""
_BATCHES = (2, 3)
"""Micro-batches from which any other follows. One is left to itself: torch does not copy along a dimension of one."""
_UNSEEN_BATCH = 5


class Traces(Protocol):
    """Where traces come from."""

    request: Mapping[str, Any]
    taken: Any

    def trace(self, size: Size, *, layers: int | None = None) -> StepTrace:
        """One step at a size and depth (None: the recipe's)."""

    def extends(self, at: int) -> bool:
        """Whether micro-batch (0) or length (1) can be changed."""


def extended(traces: Traces, size: Size) -> dict[str, Any]:
    """Parts with polynomials, and over what they are exact; constants of this size where nothing is."""
    lengths = _lengths(size.length) if traces.extends(1) else None
    depth = traces.request["offered"].get("num_layers", 0) if "num_layers" in traces.taken else 0
    reasons: dict[str, str] = {}
    for with_length in (True, False):
        for with_depth in (True, False):
            if (
                (with_length and lengths is None)
                or (with_depth and depth < _DEPTHS[1])
                or not traces.extends(0)
            ):
                continue
            fit = Fit(_BATCHES, lengths if with_length and lengths else (size.length,))
            try:
                return _fitted(traces, size, fit, depth=depth if with_depth else None, reasons=reasons)
            except Exception as error:  # noqa: BLE001 - the person's code, at a size it was not written for
                about = "sequence_length" if with_length else "micro_batch_size"
                reasons["num_layers" if with_depth else about] = _words(error)
    return _fitted(traces, size, Fit((size.batch,), (size.length,)), depth=None, reasons=reasons)


def _fitted(
    traces: Traces, size: Size, fit: Fit, *, depth: int | None, reasons: Mapping[str, str]
) -> dict[str, Any]:
    """Raises Differs where the fit does not tell the sizes that it has not seen."""
    found, ones = _parts(traces, fit, depth=depth), None
    checks = [size]
    if len(fit.batches) > 1:
        few = None if depth is None else _DEPTHS[1]
        checks.append(Size(_UNSEEN_BATCH, size.length))
        _check(traces, found, checks[-1], layers=few)
        try:
            _check(traces, found, Size(1, size.length), layers=few)
        except Differs:
            ones = _parts(traces, Fit((1,), fit.lengths), depth=depth)
    _check(traces, ones if ones and size.batch == 1 else found, size, layers=None)
    if len(fit.lengths) > 1:
        checks += _longer(traces, found, size, layers=None if depth is None else _DEPTHS[1])
    return {
        **found,
        "parts_of_one": ones["parts"] if ones else None,
        "extends": _extends(traces, fit, depth=depth, checks=checks, reasons=reasons),
    }


def _parts(traces: Traces, fit: Fit, *, depth: int | None) -> dict[str, Any]:
    """Parts, batch and buffers as the trace file holds them."""
    steps = [traces.trace(size, layers=depth and _DEPTHS[1]) for size in fit.sizes]
    rows = rows_of(steps)
    if depth is None:
        grows = [(row, row.repeat, 0) for row in rows]
    else:
        fewer = [traces.trace(size, layers=_DEPTHS[0]) for size in fit.sizes]
        if [step.buffer_bytes for step in fewer] != [step.buffer_bytes for step in steps]:
            raise Differs("buffers grow with the layers")
        grows = grown(rows_of(fewer), rows, layers=_DEPTHS)
    return {
        "parts": fit_parts(grows, fit),
        "batch_bytes": fit.polynomial([step.batch_bytes for step in steps]),
        "buffer_bytes": fit.polynomial([step.buffer_bytes for step in steps]),
    }


def _check(traces: Traces, found: Mapping[str, Any], size: Size, *, layers: int | None) -> None:
    """Raises Differs where parts do not come to what is traced at a size. To the byte."""
    step = traces.trace(size, layers=layers)
    depth = layers or traces.request["offered"].get("num_layers", 0)
    others = (found["batch_bytes"], found["buffer_bytes"])
    for name, bytes_ in composed(found["parts"], size, layers=depth, others=others).items():
        if bytes_ != getattr(step, name):
            raise Differs(
                f"{name.replace('_', ' ')} at micro-batch {size.batch}, length {size.length}:"
                f" {getattr(step, name):,} traced, {bytes_:,} from the fit"
            )


def _longer(traces: Traces, found: Mapping[str, Any], size: Size, *, layers: int | None) -> list[Size]:
    """Twice the length, if the module can do it and the fit tells what it needs."""
    twice = Size(_BATCHES[0], 2 * size.length)
    try:
        _check(traces, found, twice, layers=layers)
    except Exception:  # noqa: BLE001 - the person's code, at a size it was not written for
        return []
    return [twice]


def _lengths(length: int) -> tuple[int, ...] | None:
    """Three shorter lengths, as round as this one allows; None where it is too short."""
    if length % 8 == 0 and length >= 64:
        return length // 8, length // 4, length // 2
    shorter = tuple(sorted({length // 4, length // 2, length * 3 // 4} - {0, length}))
    return shorter if len(shorter) == 3 else None


def _extends(
    traces: Traces, fit: Fit, *, depth: int | None, checks: Sequence[Size], reasons: Mapping[str, str]
) -> dict[str, Any]:
    """For each of the three: whether any value follows, from which traces, and what they were held against."""

    def one(name: str, fitted_at: Sequence[int], checked_at: Sequence[int], without: str) -> dict[str, Any]:
        exact = len(fitted_at) > 1
        unseen = sorted(set(checked_at) - set(fitted_at))
        return {
            "exact": exact,
            "fitted_at": list(fitted_at) if exact else [],
            "checked_at": unseen if exact else [],
            "reason": "" if exact else reasons.get(name, without),
        }

    takes_depth = "num_layers" in traces.taken
    return {
        "micro_batch_size": one(
            "micro_batch_size",
            fit.batches,
            [size.batch for size in checks],
            "the batch's tensors share no dimension",
        ),
        "sequence_length": one(
            "sequence_length",
            fit.lengths,
            [size.length for size in checks],
            "the function does not take it" if checks[0].length > 1 else "there is none",
        ),
        "num_layers": one(
            "num_layers",
            _DEPTHS if depth else (),
            [depth or 0],
            "too few layers to learn from" if takes_depth else "the function does not take it",
        ),
    }


def _words(error: Exception) -> str:
    if isinstance(error, Differs):
        return str(error)
    return f"{type(error).__name__}: {str(error).strip().splitlines()[0] if str(error).strip() else ''}"
