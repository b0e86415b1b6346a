"""Other notations of `stages` as the list that they stand for."""

from __future__ import annotations

from dataclasses import replace

from launcher.loading.found import Found
from launcher.loading.tree import Place
from launcher.planning.model import sequence_tokens
from launcher.planning.stages.megatron import (
    Entry,
    RampError,
    as_stages,
    ramp_thresholds,
    step_thresholds,
)
from launcher.spec.recipe import Rampup, Recipe

__all__ = ["with_stages"]


def with_stages(recipe: Recipe, *, found: Found) -> Recipe:
    """The recipe with its stages as a list, whatever notation they were written in."""
    written: object = recipe.stages  # as it was read: the list only once it is compiled
    if isinstance(written, tuple):
        return recipe
    try:
        entries = _entries(recipe, written)
    except RampError as error:
        path, text = _called(written)
        mark = found.marks[path]
        place = Place(mark.origin, mark.file, mark.line, mark.column)
        found.complain("bad-ramp", place, f"`{path}: {text}`: {error}", path=path, hint=error.hint)
        return replace(recipe, stages=())
    return replace(recipe, stages=as_stages(entries))


def _entries(recipe: Recipe, written: object) -> tuple[Entry, ...]:
    length = sequence_tokens(recipe)
    if isinstance(written, str):
        return step_thresholds(written, sequence_length=length)
    assert isinstance(written, Rampup)
    size = recipe.global_batch_size
    if size is None and recipe.global_batch_tokens is not None and length is not None:
        size = int(recipe.global_batch_tokens.number // length)
    if size is None:
        raise RampError("the ramp has no end", hint="write global_batch_size")
    start, increment, samples = written.rampup_batch_size
    return ramp_thresholds(
        start=start, increment=increment, samples=int(samples.number), global_batch_size=size
    )


def _called(written: object) -> tuple[str, str]:
    """Path and text of what was written."""
    if isinstance(written, Rampup):
        return (
            "stages.rampup_batch_size",
            f"[{', '.join(str(number) for number in written.rampup_batch_size)}]",
        )
    return "stages", str(written)
