"""The lines around a run: what is about to start, and how it ended."""

from __future__ import annotations

import re
from collections.abc import Sequence

from launcher.reporting.run_log import StepLine, show_loss, validation_loss
from launcher.spec.plan import RunPlan, StagePlan
from launcher.units import show_count, show_rate

__all__ = ["closing_line", "error_context", "header_lines", "show_duration"]

_TAIL_LINES = 12


def header_lines(*, plan: RunPlan, directory: str) -> tuple[str, ...]:
    """`run` and `plan`: where this run is kept, and what it is."""
    batch, rate = plan.batch, plan.learning_rate
    count = plan.layout.world_size
    processes = f"{count} process{'es' if count != 1 else ''}"
    split = (
        f"{batch.micro_batch_size} micro x {batch.gradient_accumulation_steps} accumulation"
        f" x {batch.data_parallel_size} data-parallel"
    )
    idle = f" - {batch.idle_slots} idle" if batch.idle_slots else ""
    words = [f"batch {show_count(batch.global_batch_size)} = {split}{idle}"]
    if plan.stages is not None and len(plan.stages) > 1:
        words = [_stages(plan.stages)]
    if rate is not None:
        words.append(f"peak {show_rate(rate.peak_learning_rate)}")
        if rate.total_steps is not None:
            words.append(f"{show_count(rate.total_steps)} steps")
    return (
        f"run     {directory}   (plan {plan.plan_hash[:6]}, {processes}, {plan.launch.engine})",
        f"plan    {', '.join(words)}",
    )


def _stages(stages: Sequence[StagePlan]) -> str:
    """`3 stages of 8 to 32 sequences`, and of how many tokens where that changes, too."""
    spans = []
    for name, values in (
        ("sequences", {stage.batch.global_batch_size for stage in stages}),
        ("tokens", {stage.batch.sequence_length or 0 for stage in stages}),
    ):
        if len(values) > 1:
            spans.append(f"{show_count(min(values))} to {show_count(max(values))} {name}")
    return " of ".join([f"{len(stages)} stages", *spans])


def closing_line(*, state: str, steps: Sequence[StepLine], seconds: float, directory: str) -> str:
    """`done  400 steps, loss 4.600 -> 1.900, took 61 s; RUN`; the words that the log does not tell are left out."""
    words = []
    if steps:
        words.append(f"{show_count(steps[-1].step)} step{'s' if steps[-1].step != 1 else ''}")
        losses = [line.loss for line in steps if line.loss is not None]
        if losses:
            words.append(f"loss {show_loss(losses[0])} -> {show_loss(losses[-1])}")
        if (validated := validation_loss(steps)) is not None:
            words.append(f"validation {show_loss(validated)}")
    words.append(f"took {show_duration(seconds)}")
    return f"{state:<8}{', '.join(words)}   {directory}"


def show_duration(seconds: float) -> str:
    """Seconds as `4.2 s`, `61 s`, `12 min 5 s` or `3 h 20 min`."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 120:
        return f"{whole} s"
    if whole < 7200:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def error_context(*, log: str, error: str) -> tuple[str, ...]:
    """The lines of a log that lead up to an error: its traceback if it has one, else the last lines.

    Engines print a page of their own after the traceback that a person is looking for. Lines of the error below its
    first one belong to it.
    """
    lines = [re.sub(r"\x1b\[[0-9;]*[A-Za-z]", "", line).rstrip() for line in log.splitlines()]
    lines = [line for line in lines if line]
    first = error.splitlines()[0].strip() if error.strip() else ""
    ends = [at for at, line in enumerate(lines) if first and line.endswith(first)]
    if not ends:
        return tuple(lines[-_TAIL_LINES:])
    end = _with_the_rest(lines, ends[0], error)
    starts = [at for at, line in enumerate(lines[: end + 1]) if "Traceback (most recent call last)" in line]
    start = max(starts[-1] if starts else 0, end + 1 - _TAIL_LINES)
    return tuple(lines[start : end + 1])


def _with_the_rest(lines: Sequence[str], end: int, error: str) -> int:
    """Index of the error's last line, where its further lines follow."""
    for rest in error.strip().splitlines()[1:]:
        if end + 1 >= len(lines) or not rest.strip() or not lines[end + 1].endswith(rest.strip()):
            break
        end += 1
    return end
