"""Alternatives as a table: what to change, what the batch becomes, what that keeps and what it alters."""

from __future__ import annotations

from collections.abc import Sequence

from launcher.reporting.columns import table
from launcher.spec.plan import Alternative, BatchPlan
from launcher.units import show_count

__all__ = ["ways_out"]


def ways_out(alternatives: Sequence[Alternative]) -> list[str]:
    """Ranked, best first, with how to apply one; with their memory where they were asked for because of it."""
    if any(alternative.memory is not None for alternative in alternatives):
        header: tuple[str, ...] = ("", "ways out", "GiB", "keeps", "changes")
        middle = _memory
    else:
        header, middle = ("", "ways out", "batch", "keeps", "changes"), _batch_of
    rows = [
        (
            str(rank),
            alternative.change,
            middle(alternative),
            ", ".join(alternative.keeps) or "-",
            ", ".join(alternative.changes) or "nothing",
        )
        for rank, alternative in enumerate(alternatives, start=1)
    ]
    return [*table(header, rows), "apply one with --set, or write it"]


def _memory(alternative: Alternative) -> str:
    """`12.1`, with `tight` where the worst does not fit."""
    if alternative.memory is None:
        return "-"
    tight = " tight" if alternative.memory["verdict"] == "tight" else ""
    return f"{alternative.memory['peak_bytes'] / 2**30:.1f}{tight}"


def _batch_of(alternative: Alternative) -> str:
    return _batch(alternative.batch)


def _batch(batch: BatchPlan) -> str:
    """`992 = 1 x 31 x 32`: micro x accumulation x data-parallel; idle slots after it."""
    parts = (batch.micro_batch_size, batch.gradient_accumulation_steps, batch.data_parallel_size)
    product = " x ".join(show_count(part) for part in parts)
    idle = f" - {show_count(batch.idle_slots)} idle" if batch.idle_slots else ""
    return f"{show_count(batch.global_batch_size)} = {product}{idle}"
