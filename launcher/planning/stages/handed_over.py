"""What a script is told once for the whole job, beside stages in which it is not true all the time."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

from launcher.errors import Problem
from launcher.spec.plan import BatchPlan
from launcher.spec.recipe import Recipe
from launcher.units import Amount

__all__ = ["handed_over_problems"]

_PLACEHOLDER = re.compile(r"(?<!\{)\{(?P<name>\w+)\}")
_OF_A_BATCH: dict[str, Callable[[BatchPlan], int | None]] = {
    "micro_batch_size": lambda batch: batch.micro_batch_size,
    "gradient_accumulation_steps": lambda batch: batch.gradient_accumulation_steps,
    "gradient_accumulation_steps_all_ranks": lambda batch: (
        batch.gradient_accumulation_steps * batch.data_parallel_size
    ),
    "global_batch_size": lambda batch: batch.global_batch_size,
    "sequence_length": lambda batch: batch.sequence_length,
    "micro_batch_tokens": lambda batch: batch.micro_batch_size * (batch.sequence_length or 1),
    "global_batch_tokens": lambda batch: batch.tokens_per_step,
}
"""Placeholders that say something of one batch."""


def handed_over_problems(*, recipe: Recipe, batches: tuple[BatchPlan, ...]) -> tuple[Problem, ...]:
    """Arguments with the numbers of one batch, and intervals that are steps of one batch. batches: of the stages."""
    return (*_arguments(recipe, batches), *_intervals(recipe))


def _arguments(recipe: Recipe, batches: tuple[BatchPlan, ...]) -> Iterator[Problem]:
    launch = recipe.launch
    texts = [(f"launch.args.{place}", text) for place, text in enumerate(launch.args)]
    texts += [(f"launch.env.{name}", text) for name, text in launch.env.items()]
    for path, text in texts:
        for match in _PLACEHOLDER.finditer(text):
            read = _OF_A_BATCH.get(match["name"])
            values = (
                [] if read is None else [value for batch in batches if (value := read(batch)) is not None]
            )
            if len(set(values)) > 1:
                yield Problem(
                    code="placeholder-of-one-batch",
                    severity="warning",
                    path=path,
                    message=f"`{match[0]}` is {values[0]} for the whole job, as its first stage has it; stages have "
                    f"{min(values)} to {max(values)}",
                    hint="let the script read step.batch, or leave the argument out",
                )


def _intervals(recipe: Recipe) -> Iterator[Problem]:
    for name in ("evaluation", "checkpoint"):
        section = getattr(recipe, name)
        every: Amount | None = None if section is None else section.every
        if every is not None and every.unit != "steps":
            yield Problem(
                code="interval-of-one-batch",
                severity="note",
                path=f"{name}.every",
                message=f"`{name}.every: {every}` is handed over as steps of the run's own batch, whatever stage it is",
                hint=f"write {name}.every in steps",
            )
