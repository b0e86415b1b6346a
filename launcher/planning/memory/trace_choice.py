"""Which of the traces beside a recipe says what its module needs, and why none does."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from launcher.errors import Problem
from launcher.planning.memory.from_recipe import setting_of
from launcher.planning.memory.setting import Setting
from launcher.planning.optimizer import precision_plan
from launcher.spec.model import Model
from launcher.spec.plan import LayoutPlan
from launcher.spec.recipe import Recipe
from launcher.spec.trace_file import TraceFile

__all__ = ["EXTENDED", "choose_trace", "configuration_of", "offered_arguments"]

EXTENDED = ("micro_batch_size", "sequence_length", "num_layers")
"""What a trace may know as a polynomial; everything else is part of its configuration."""

_NOT_OFFERED = frozenset(
    {"kind", "preset", "config", "module", "adapter", "frozen", "implementation", "batch_coupled"}
)


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
    *, recipe: Recipe, layout: LayoutPlan
) -> tuple[Mapping[str, Any] | None, tuple[Problem, ...]]:
    """The trace of the recipe's module that was made with these settings and covers these sizes; else why none does."""
    written = recipe.micro_batch_size
    setting = setting_of(
        recipe=recipe,
        layout=layout,
        precision=precision_plan(recipe=recipe, layout=layout),
        num_parameters=None,
        micro_batch_size=1 if written == "auto" else written,
        gradient_accumulation_steps=1,
    )
    fitting = [one for one in recipe.traces if _fits(one.content, recipe, setting)]
    current = [one.content for one in fitting if not one.changed]
    if current:
        return current[0], ()
    if fitting:
        return None, (_stale(recipe, fitting[0]),)
    return None, (_missing(recipe, setting),)


def _covers(trace: Mapping[str, Any], setting: Setting) -> bool:
    """Whether a trace holds for this micro-batch size and sequence length; no length beyond the longest traced."""
    asked = {"micro_batch_size": setting.micro_batch_size, "sequence_length": setting.sequence_length}
    longest = max([trace["sizes"]["sequence_length"], *trace["extends"]["sequence_length"]["checked_at"]])
    return asked["sequence_length"] <= longest and all(
        trace["extends"][name]["exact"] or trace["sizes"][name] == asked[name] for name in asked
    )


def _fits(trace: Mapping[str, Any], recipe: Recipe, setting: Setting) -> bool:
    wanted = configuration_of(recipe, setting)
    offered = wanted.pop("offered")
    same = all(trace[name] == value for name, value in wanted.items())
    return same and _same_arguments(trace, offered) and _covers(trace, setting)


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
        hint="run batchwright trace on this recipe again",
    )


def _missing(recipe: Recipe, setting: Setting) -> Problem:
    others = "; the traces there are of other sizes or settings" if recipe.traces else ""
    return Problem(
        code="trace-missing",
        severity="note",
        path="model.module",
        message=f"`model.module: {recipe.model.module}` is known by a trace of its code, and there is none for "
        f"{'CPU' if setting.device_kind == 'cpu' else 'CUDA'} kernels in {setting.formats.compute}"
        f"{' autocast' if setting.formats.autocast else ''}{others}",
        hint="run batchwright trace on this recipe; plan reads what it finds",
    )
