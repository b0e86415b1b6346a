"""The gradient of a trial's first optimizer step, before clipping, and what a ratio of two of them means."""

from __future__ import annotations

import math

from launcher.handoff.trials.trial import TrialEnd
from launcher.spec.plan import BatchPlan, RunPlan

__all__ = ["DROPOUT_TOLERANCE", "TOLERANCES", "gradient_norm", "ratio_words"]

TOLERANCES = {"fp32": 1e-3, "fp16": 1e-2, "bf16": 2e-2, "fp8": 5e-2}
"""How far from 1 the ratio may be: sums in another order. In fp32 a GPU may multiply in tf32, 10 bits of mantissa."""
DROPOUT_TOLERANCE = 0.1
"""How far the masks of dropout may move it: a ratio nearer to 1 says nothing then."""

_NEAR = 0.05


def gradient_norm(end: TrialEnd, result: RunPlan) -> float | None:
    """Norm of the whole gradient of the first optimizer step; None where no rank could see it.

    What the script's own clipping, or DeepSpeed's engine, says of it; else the gradients of the parameters, of all
    ranks where each holds a part.
    """
    steps = [record["inspected"]["steps"] for record in end.records.values() if record.get("inspected")]
    firsts = [each[0] for each in steps if each]
    if not firsts:
        return None
    if firsts[0]["gradient_norm"] is not None:
        return float(firsts[0]["gradient_norm"])
    whole = result.layout.data_strategy == "ddp"
    squares = math.fsum(each["gradient_squares"] for each in (firsts[:1] if whole else firsts))
    return math.sqrt(squares) if squares else None


def ratio_words(ratio: float, *, planned: BatchPlan, other: BatchPlan) -> str:
    """What the script does with the losses of its micro-batches, as the ratio tells."""
    more = planned.gradient_accumulation_steps / other.gradient_accumulation_steps
    times = max(more, 1 / more)
    if math.isclose(ratio, more, rel_tol=_NEAR) and more != 1:
        return (
            f"the gradient grows with accumulation ({times:g} times here): losses of micro-batches are added up, "
            "and nothing divides by their number"
        )
    if math.isclose(ratio, 1 / more, rel_tol=_NEAR) and more != 1:
        return (
            f"the gradient shrinks with accumulation ({times:g} times here): the loss is divided by the number of "
            "micro-batches twice, by the script and by its engine"
        )
    return (
        "the gradient depends on the split as a mean of means does: every micro-batch counts the same, however many "
        "tokens it has, and a token counts more where it came with few others; the loss has to be a sum, divided by "
        "the tokens of the whole global batch"
    )
