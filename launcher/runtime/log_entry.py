"""One line of log.jsonl: what a step was planned to be, beside what was measured."""

from __future__ import annotations

from typing import Any

from launcher.planning.stages.ledger import PlannedStep

__all__ = ["log_entry"]


def log_entry(
    step: PlannedStep, *, samples: int, weight: float, seconds: float, stages: int = 1, **measured: Any
) -> dict[str, Any]:
    """The line of an optimizer step.

    samples: sequences that were consumed with it. weight: of the whole global batch. stages: of the run; with more
    than one the entry says which. measured: loss, learning rate, and whatever else was looked at.
    """
    tokens = step.batch.sequence_length
    return {
        "step": step.number,
        "samples": samples,
        "planned_samples": step.samples_after,
        **({"stage": step.stage + 1} if stages > 1 else {}),
        "weight": weight,
        **measured,
        "seconds": seconds,
        "samples_per_second": step.size / seconds,
        "tokens_per_second": None if tokens is None else step.size * tokens / seconds,
    }
