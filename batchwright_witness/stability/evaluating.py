"""Validation beside training: the gap between them, and what gets worse. Pure."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterator, Mapping

from batchwright_witness.stability.drifting import Drift
from batchwright_witness.stability.remark import Remark, number
from batchwright_witness.stability.windows import median

__all__ = ["Evaluations"]

STEPS = 64
"""Training losses that the level of training is taken from, those since the evaluation before where they are fewer."""
LEAST = 8
"""Training losses below which there is no level."""
FLOOR = 0.01
"""Share of the loss or accuracy below which a change is not worth a word. Our choice."""


class Evaluations:
    """What a script reports of validation, against the training losses that came before."""

    def __init__(self) -> None:
        self._training: deque[float] = deque(maxlen=STEPS)
        self._loss, self._accuracy, self._gap = Drift(), Drift(), Drift()

    def trained(self, loss: float) -> None:
        """A finite training loss of one step."""
        self._training.append(loss)

    def derived(self, values: Mapping[str, float]) -> dict[str, float]:
        """What goes into the log beside the script's own numbers: training_loss where it reports none, and the gaps."""
        found: dict[str, float] = {}
        if "validation_loss" in values:
            level = values.get("training_loss", self._level())
            if level is not None:
                found = {"training_loss": level, "gap": values["validation_loss"] - level}
        if {"validation_accuracy", "training_accuracy"} <= set(values):
            found["accuracy_gap"] = values["training_accuracy"] - values["validation_accuracy"]
        return {name: value for name, value in found.items() if name not in values}

    def see(self, step: int, values: Mapping[str, float]) -> Iterator[Remark]:
        """The script's numbers with those of `derived`, and what is to be said of them."""
        sane = {name: value for name, value in values.items() if math.isfinite(value)}
        loss, accuracy, gap = (sane.get(name) for name in ("validation_loss", "validation_accuracy", "gap"))
        if loss is not None and (worse := self._loss.see(step, loss, floor=FLOOR * abs(loss))):
            words = f"validation loss {number(worse.now)}, {number(worse.best)} at step {worse.step:,}"
            yield Remark(step, "validation-worse", f"{words}: worse 3 times in a row")
        if accuracy is not None and (
            worse := self._accuracy.see(step, -accuracy, floor=FLOOR * abs(accuracy))
        ):
            words = f"validation accuracy {number(-worse.now)}, {number(-worse.best)} at step {worse.step:,}"
            yield Remark(step, "accuracy-worse", f"{words}: worse 3 times in a row")
        if (
            gap is not None
            and loss is not None
            and (worse := self._gap.see(step, gap, floor=2 * FLOOR * abs(loss), least=0.0))
        ):
            words = (
                f"validation - training loss {number(worse.now)}, {number(worse.best)} at step {worse.step:,}"
            )
            yield Remark(step, "gap-wider", f"{words}: the gap widens")

    def _level(self) -> float | None:
        """Training loss now: the median of the later half, led on by the slope between the halves.

        A plain mean lies behind a loss that falls, and would make a gap where there is none.
        """
        values = list(self._training)
        if len(values) < LEAST:
            return None
        half = len(values) // 2
        early, late = median(values[:half]), median(values[half:])
        return late + (late - early) / 2
