"""The stages of a plan as a table: which steps, which batch, and the learning rate at both ends."""

from __future__ import annotations

import re

from launcher.planning.stages.ledger import planned_rate, step_at
from launcher.reporting.columns import WIDTH
from launcher.reporting.rate_text import show_large
from launcher.spec.plan import BatchPlan, RunPlan, StagePlan
from launcher.units import show_count, show_rate

__all__ = ["stage_lines"]

_FIRST, _LAST = 5, 3
"""Rows of a long ramp that are shown."""
_LABEL = 8
"""Columns in front of each line."""


def stage_lines(plan: RunPlan) -> list[str]:
    """A row for each stage, the middle of a long ramp left out; empty where a run has no stages."""
    stages = plan.stages or ()
    if not stages:
        return []
    places = list(range(len(stages)))
    left_out = len(stages) - _FIRST - _LAST
    if left_out > 1:
        places = [*places[:_FIRST], *places[-_LAST:]]
    columns = _fitting(_columns(plan, [stages[place] for place in places]))
    widths = [max(len(cell) for cell in column) for column in columns]
    lines = [
        "  ".join(cell.rjust(size) for cell, size in zip(row, widths, strict=True)).rstrip()
        for row in zip(*columns, strict=True)
    ]
    if left_out > 1:
        more = f"... {left_out} stages more, of {show_count(stages[_FIRST].batch.global_batch_size)} to "
        more += f"{show_count(stages[-_LAST - 1].batch.global_batch_size)} sequences"
        lines.insert(1 + _FIRST, more)
    return [*lines, *_most_memory(plan), *_part(plan)]


def _most_memory(plan: RunPlan) -> list[str]:
    """Which stage the memory below is of, where they differ."""
    first, last = (plan.part.first_stage, plan.part.last_stage) if plan.part else (1, None)
    stages = (plan.stages or ())[first - 1 : last]
    needs = [0 if stage.memory is None else stage.memory.high_bytes for stage in stages]
    if len(set(needs)) < 2:
        return []
    return [f"stage {first + needs.index(max(needs))} needs most memory, which is what is shown of memory"]


def _part(plan: RunPlan) -> list[str]:
    """Which of them one job trains, where the run needs several."""
    part = plan.part
    if part is None:
        return []
    alone = part.first_stage == part.last_stage
    which = f"stage {part.first_stage}" if alone else f"stages {part.first_stage} to {part.last_stage}"
    before = f", from the checkpoint of step {show_count(part.first_step - 1)}" if part.first_step > 1 else ""
    end = " to the end" if part.last_step is None else f"-{show_count(part.last_step)}"
    return [
        f"this job is part {part.number} of {part.count}: {which}, steps {show_count(part.first_step)}{end}{before}"
    ]


def _fitting(columns: list[list[str]]) -> list[list[str]]:
    """The columns that a line has room for; what the batch implies gives way first."""
    kept = columns
    for name in ("tokens", "worst GiB", "until"):
        if sum(max(len(cell) for cell in column) + 2 for column in kept) - 2 > WIDTH - _LABEL:
            kept = [column for column in kept if not column[0].startswith(name)]
    return kept


def _columns(plan: RunPlan, stages: list[StagePlan]) -> list[list[str]]:
    """Heading and cells of each column; those that say nothing new are left out."""
    lengths = {stage.batch.sequence_length for stage in plan.stages or ()}
    has_length = None not in lengths
    columns = [
        ["stage", *(str((plan.stages or ()).index(stage) + 1) for stage in stages)],
        ["steps", *(_steps(stage) for stage in stages)],
        _untils(stages),
        ["batch", *(_batch(stage.batch) for stage in stages)],
        ["length", *(show_count(stage.batch.sequence_length or 0) for stage in stages)],
        ["tokens", *(show_large(stage.batch.tokens_per_step or 0) for stage in stages)],
        ["rate", *(_rates(plan, stage) for stage in stages)],
        ["worst GiB", *(_memory(stage) for stage in stages)],
    ]
    shown = {
        "length": has_length and len(lengths) > 1,
        "tokens": has_length,
        "rate": plan.learning_rate is not None,
        "worst GiB": all(stage.memory is not None for stage in stages),
    }
    return [column for column in columns if shown.get(column[0], True)]


def _untils(stages: list[StagePlan]) -> list[str]:
    """The marks as written; large bare numbers of samples, as a ramp of three numbers has, under their own heading."""
    marks = [stage.until for stage in stages if stage.until is not None]
    if marks and all(re.fullmatch(r"\d{5,} samples", mark) for mark in marks):
        numbers = [stage.until and show_count(int(stage.until.partition(" ")[0])) for stage in stages]
        return ["until sample", *(number or "end" for number in numbers)]
    return ["until", *(stage.until or "end" for stage in stages)]


def _steps(stage: StagePlan) -> str:
    last = "" if stage.steps is None else show_count(stage.first_step + stage.steps - 1)
    return f"{show_count(stage.first_step)}-{last}"


def _batch(batch: BatchPlan) -> str:
    """`256 = 8 x 16 x 2`, micro-batch, accumulation and ranks; `- 2` for idle slots."""
    split = f"{batch.micro_batch_size} x {batch.gradient_accumulation_steps} x {batch.data_parallel_size}"
    idle = f" - {batch.idle_slots}" if batch.idle_slots else ""
    return f"{show_count(batch.global_batch_size)} = {split}{idle}"


def _rates(plan: RunPlan, stage: StagePlan) -> str:
    """Of the first step and of the last; of the first alone where the stage has no end."""
    ends = [stage.first_step, *([] if stage.steps is None else [stage.first_step + stage.steps - 1])]
    steps = [step_at(plan, number) for number in ends]
    rates = [planned_rate(plan, step) for step in steps if step is not None]
    return " to ".join(dict.fromkeys(show_rate(rate) for rate in rates if rate is not None))


def _memory(stage: StagePlan) -> str:
    return "" if stage.memory is None else f"{stage.memory.high_bytes / 2**30:.1f}"
