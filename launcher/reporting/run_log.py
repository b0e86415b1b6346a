"""The log of a run, log.jsonl, one object per optimizer step: read back for a summary and for the curves."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

__all__ = ["StepLine", "read_log", "read_remarks", "show_loss", "validation_loss"]


@dataclass(frozen=True, slots=True, kw_only=True)
class StepLine:
    """What one optimizer step reported; None where it said nothing."""

    step: int
    samples: int | None
    loss: float | None
    learning_rate: float | None
    planned_learning_rate: float | None
    validation_loss: float | None
    gap: float | None = None
    """Validation loss less training loss."""
    clipped: bool | None = None
    """Whether its gradient was clipped; None where that is not known."""
    skipped: bool = False
    """Left out by a loss scaler."""


def read_log(directory: Path) -> tuple[StepLine, ...]:
    """The optimizer steps of a run folder's log, in order; empty without one.

    A last line cut short is passed over. What the script evaluated stands in a file of its own, evaluation.jsonl.
    """
    evaluated = {line["step"]: line for line in _steps(directory / "evaluation.jsonl")}
    return tuple(
        StepLine(
            step=data["step"],
            samples=data.get("samples") if isinstance(data.get("samples"), int) else None,
            loss=_number(data.get("loss")),
            learning_rate=_number(data.get("learning_rate")),
            planned_learning_rate=_number(data.get("planned_learning_rate")),
            validation_loss=_number(
                data.get("validation_loss", evaluated.get(data["step"], {}).get("validation_loss"))
            ),
            gap=_number(evaluated.get(data["step"], {}).get("gap")),
            clipped=clipped if isinstance(clipped := data.get("clipped"), bool) else None,
            skipped=data.get("skipped") is True,
        )
        for data in _steps(directory / "log.jsonl")
    )


def read_remarks(directory: Path) -> tuple[dict[str, Any], ...]:
    """What was said of the training (step, code, words), in order; empty without remarks.jsonl."""
    return tuple(line for line in _steps(directory / "remarks.jsonl") if {"code", "words"} <= set(line))


def validation_loss(lines: Sequence[StepLine]) -> float | None:
    """The last one reported."""
    return next((line.validation_loss for line in reversed(lines) if line.validation_loss is not None), None)


def show_loss(loss: float) -> str:
    """A loss with three decimals, or in powers of ten where those would say nothing."""
    return f"{loss:.3f}" if 0.01 <= abs(loss) < 1e5 or loss == 0 else f"{loss:.3g}"


def _steps(path: Path) -> list[dict[str, Any]]:
    """The lines that tell of a step."""
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return []
    found = []
    for line in text.splitlines():
        try:
            data = json.loads(line)
        except ValueError:
            continue
        if isinstance(data, dict) and isinstance(data.get("step"), int):
            found.append(data)
    return found


def _number(value: object) -> float | None:
    """A number, the first of several (one per parameter group), or None."""
    if isinstance(value, list) and value:
        value = value[0]
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None
