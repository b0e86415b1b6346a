"""A person's own module as parts: what a trace has found, at the micro-batch, length and depth that are asked for.

Trace files are written by `batchwright trace` (launcher/measuring/trace.py); here they are only read.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from launcher.planning.memory.network import Network
from launcher.planning.memory.part import Part, Weights
from launcher.planning.memory.polynomial import evaluate
from launcher.planning.memory.setting import Setting

__all__ = ["module_parts", "parts_from_trace"]


def module_parts(network: Network, setting: Setting) -> tuple[Part, ...]:
    """Parts of kind `module`; the network carries its trace."""
    assert network.trace is not None
    return parts_from_trace(network.trace, network, setting)


def parts_from_trace(trace: Mapping[str, Any], network: Network, setting: Setting) -> tuple[Part, ...]:
    """Parts of a traced module, in bytes of one micro-batch on one rank.

    Context-parallel ranks share the tokens of a sequence. A trace that does not extend over the micro-batch gives a
    smaller one the bytes of its own, and a larger one as many times these: more than it needs either way.
    """
    batch = setting.micro_batch_size
    length = setting.sequence_length // setting.layout.context
    sizes = {"b": batch, "s": length, "t": batch * length, "n": network.num_layers}
    rows = trace["parts_of_one"] if batch == 1 and trace["parts_of_one"] else trace["parts"]
    ends = [at for at, row in enumerate(rows) if not row["unit"]]
    buffers, given = (round(evaluate(trace[name], sizes)) for name in ("buffer_bytes", "batch_bytes"))
    found = []
    loss = max((_most(row["loss"], sizes) for row in rows), default=0)
    for at, row in enumerate(rows):
        place = "first" if at in ends[:1] and len(rows) > 1 else "last" if at == len(rows) - 1 else "body"
        part = _part(row, sizes, place=place, trace=trace)
        if at == 0:
            part = replace(part, saved=part.saved + buffers + given, casts=part.casts + buffers)
        if at == len(rows) - 1:
            part = replace(part, loss=loss)
        found.append(part if trace["extends"]["micro_batch_size"]["exact"] else _times(part, trace, batch))
    return tuple(found)


def _part(
    row: Mapping[str, Any],
    sizes: Mapping[str, float],
    *,
    place: Any,
    trace: Mapping[str, Any],
) -> Part:
    def of(name: str) -> int:
        return round(evaluate(row[name], sizes))

    beyond, fresh = _most(row["beyond"], sizes), _most(row["fresh"], sizes)
    weights = [
        Weights(count=of("parameters"), trained=of("trained"), largest=of("largest"), stored_bytes=None)
    ]
    if of("tied"):
        weights.append(Weights(count=of("tied"), largest=of("tied"), tied=True))
    return Part(
        name=row["unit"] or place,
        place=place,
        repeat=round(evaluate(row["repeat"], sizes)),
        weights=tuple(weights),
        saved=of("saved"),
        boundary=of("boundary"),
        backward=beyond,
        backward_gradients=fresh - beyond,
        forward=_most(row["forward"], sizes),
        casts=round(row["saved"].get("1", 0)) if trace["autocast"] else 0,
        checkpointable=bool(row["unit"]) and "activation_checkpointing" not in trace["arguments"],
        source=_source(trace),
    )


def _times(part: Part, trace: Mapping[str, Any], batch: int) -> Part:
    times = max(1, -(-batch // trace["sizes"]["micro_batch_size"]))
    names = ("saved", "boundary", "backward", "forward", "loss")
    return replace(part, **{name: times * getattr(part, name) for name in names})


def _most(polynomials: Sequence[Mapping[str, float]], sizes: Mapping[str, float]) -> int:
    """The largest of several operations' bytes; 0 where all of them hold less than is counted elsewhere."""
    return max((0, *(round(evaluate(each, sizes)) for each in polynomials)))


def _source(trace: Mapping[str, Any]) -> str:
    return (
        f"trace of {trace['module']} with torch {trace['versions']['torch']} ({trace['device_kind']} kernels)"
    )
