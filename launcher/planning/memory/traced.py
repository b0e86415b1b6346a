"""A person's own module as parts: what a trace has found, at the micro-batch, length and depth that are asked for.

Trace files are written by `batchwright trace` (launcher/measuring/trace.py); here they are only read.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

from launcher.errors import Problem
from launcher.planning.memory.network import Network
from launcher.planning.memory.part import Part, Weights
from launcher.planning.memory.polynomial import evaluate
from launcher.planning.memory.setting import Setting
from launcher.spec.model import Model
from launcher.spec.recipe import Recipe

__all__ = [
    "EXTENDED",
    "TraceFile",
    "choose_trace",
    "configuration_of",
    "covers",
    "module_parts",
    "offered_arguments",
    "parts_from_trace",
]

EXTENDED = ("micro_batch_size", "sequence_length", "num_layers")
"""What a trace may know as a polynomial; everything else is part of its configuration."""

_NOT_OFFERED = frozenset(
    {"kind", "preset", "config", "module", "adapter", "frozen", "implementation", "batch_coupled"}
)


@dataclass(frozen=True, slots=True)
class TraceFile:
    """One file that `batchwright trace` has written."""

    path: str
    content: Mapping[str, Any]
    changed: tuple[str, ...] = ()
    """Files of code that are not what they were when it was made, from the recipe's folder."""


def offered_arguments(recipe: Recipe, setting: Setting) -> dict[str, Any]:
    """Keyword arguments that the person's function may take: sizes, and every written key of `model` by its name."""
    offered: dict[str, Any] = {
        "micro_batch_size": setting.micro_batch_size,
        "sequence_length": setting.sequence_length,
        "target_length": setting.target_length,
        "hidden_size": recipe.hidden_size,
    }
    unset = Model()
    for item in fields(Model):
        written = getattr(recipe.model, item.name)
        if item.name not in _NOT_OFFERED and (
            f"model.{item.name}" in recipe.marks or written != getattr(unset, item.name)
        ):
            offered[item.name] = written
    if recipe.sequence_length is None:
        offered["sequence_length"] = None
    for name in ("attention", "activation_checkpointing"):
        if name in recipe.marks or getattr(recipe, name) != getattr(Recipe(), name):
            offered[name] = getattr(recipe, name)
    return {name: value for name, value in offered.items() if value is not None}


def configuration_of(recipe: Recipe, setting: Setting) -> dict[str, Any]:
    """What a trace depends on besides the code, as JSON values."""
    return {
        "module": recipe.model.module,
        "device_kind": "cpu" if setting.device_kind == "cpu" else "cuda",
        "compute": setting.formats.compute,
        "autocast": setting.formats.autocast,
        "frozen": list(recipe.model.frozen),
        "offered": offered_arguments(recipe, setting),
    }


def choose_trace(
    files: Sequence[TraceFile], *, recipe: Recipe, setting: Setting
) -> tuple[Mapping[str, Any] | None, tuple[Problem, ...]]:
    """The trace of this module, configured like this, that covers these sizes; else why there is none."""
    fitting = [one for one in files if _fits(one.content, recipe, setting)]
    current = [one.content for one in fitting if not one.changed]
    if current:
        return current[0], ()
    if fitting:
        return None, (_stale(recipe, fitting[0]),)
    return None, (_missing(recipe, setting, files),)


def covers(trace: Mapping[str, Any], setting: Setting) -> bool:
    """Whether a trace holds for this micro-batch size and sequence length; no length beyond the longest traced."""
    asked = {"micro_batch_size": setting.micro_batch_size, "sequence_length": setting.sequence_length}
    longest = max([trace["sizes"]["sequence_length"], *trace["extends"]["sequence_length"]["checked_at"]])
    return asked["sequence_length"] <= longest and all(
        trace["extends"][name]["exact"] or trace["sizes"][name] == asked[name] for name in asked
    )


def module_parts(network: Network, setting: Setting) -> tuple[Part, ...]:
    """Parts of kind `module`; the network carries its trace."""
    assert network.trace is not None
    return parts_from_trace(network.trace, network, setting)


def parts_from_trace(trace: Mapping[str, Any], network: Network, setting: Setting) -> tuple[Part, ...]:
    """Parts of a traced module, in bytes of one micro-batch on one rank.

    Context-parallel ranks share the tokens of a sequence.
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
        part = _part(row, sizes, place=place, setting=setting, trace=trace)
        if at == 0:
            part = replace(part, saved=part.saved + buffers + given, casts=part.casts + buffers)
        if at == len(rows) - 1:
            part = replace(part, loss=loss)
        found.append(part)
    return tuple(found)


def _part(
    row: Mapping[str, Any],
    sizes: Mapping[str, float],
    *,
    place: Any,
    setting: Setting,
    trace: Mapping[str, Any],
) -> Part:
    def of(name: str) -> int:
        return round(evaluate(row[name], sizes))

    persistent = setting.gradient_accumulation_steps > 1 or setting.layout.zero_stage >= 2
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
        backward=_most(row["beyond" if persistent else "fresh"], sizes),
        forward=_most(row["forward"], sizes),
        casts=round(row["saved"].get("1", 0)) if trace["autocast"] else 0,
        checkpointable=bool(row["unit"]) and "activation_checkpointing" not in trace["arguments"],
        source=_source(trace),
    )


def _most(polynomials: Sequence[Mapping[str, float]], sizes: Mapping[str, float]) -> int:
    """The largest of several operations' bytes; 0 where all of them hold less than is counted elsewhere."""
    return max((0, *(round(evaluate(each, sizes)) for each in polynomials)))


def _source(trace: Mapping[str, Any]) -> str:
    return (
        f"trace of {trace['module']} with torch {trace['versions']['torch']} ({trace['device_kind']} kernels)"
    )


def _fits(trace: Mapping[str, Any], recipe: Recipe, setting: Setting) -> bool:
    wanted = configuration_of(recipe, setting)
    offered = wanted.pop("offered")
    same = all(trace[name] == value for name, value in wanted.items())
    return same and _same_arguments(trace, offered) and covers(trace, setting)


def _same_arguments(trace: Mapping[str, Any], offered: Mapping[str, Any]) -> bool:
    """Whether the function would be given the same arguments, those aside that the trace extends over."""
    aside = {*trace["sizes"], *(name for name in EXTENDED if trace["extends"][name]["exact"])}
    accepts = trace["accepts"]
    taken = {name: value for name, value in offered.items() if "*" in accepts or name in accepts}
    known = trace["arguments"]
    return {n: v for n, v in taken.items() if n not in aside} == {
        n: v for n, v in known.items() if n not in aside
    }


def _stale(recipe: Recipe, file: TraceFile) -> Problem:
    return Problem(
        code="trace-stale",
        severity="warning",
        path="model.module",
        message=f"`model.module: {recipe.model.module}` has changed since it was traced: "
        f"{', '.join(file.changed[:3])}{' ...' if len(file.changed) > 3 else ''}",
        because=(f"traced in {file.path}",),
        hint="run batchwright trace on this recipe again",
    )


def _missing(recipe: Recipe, setting: Setting, files: Sequence[TraceFile]) -> Problem:
    others = "; the traces there are of other sizes or settings" if files else ""
    return Problem(
        code="trace-missing",
        severity="note",
        path="model.module",
        message=f"`model.module: {recipe.model.module}` is known by a trace of its code, and there is none for "
        f"{'CPU' if setting.device_kind == 'cpu' else 'CUDA'} kernels in {setting.formats.compute}"
        f"{' autocast' if setting.formats.autocast else ''}{others}",
        hint="run batchwright trace on this recipe; plan reads what it finds",
    )
