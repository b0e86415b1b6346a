"""How steadily a run went, in a line: what its log and its remarks add up to."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from launcher.reporting.run_log import StepLine
from launcher.units import show_count

__all__ = ["remark_line", "stability_line"]

_NAMED = 4
"""Steps that are written out."""
_REST = {
    "loss-rising": "the loss rose slowly",
    "validation-worse": "validation got worse",
    "accuracy-worse": "validation accuracy fell",
    "gap-wider": "the gap widened",
}


def stability_line(*, steps: Sequence[StepLine], remarks: Sequence[Mapping[str, Any]]) -> str | None:
    """`health  2 jumps of the loss (steps 310, 702), 3.1 % of steps clipped, gap 0.12 -> 0.15`; None without steps.

    Counts and measurements; whether they are good or bad is not for this line to say.
    """
    if not steps or (not remarks and all(line.loss is None for line in steps)):
        return None
    return f"health  {', '.join(_words(steps, remarks))}"


def remark_line(remarks: Sequence[Mapping[str, Any]]) -> str | None:
    """`remark      step 310: the loss has jumped ...`: the latest of a run, and how many there are."""
    if not remarks:
        return None
    last = remarks[-1]
    more = f" ({len(remarks) - 1} more in remarks.jsonl)" if len(remarks) > 1 else ""
    return f"remark      step {show_count(last['step'])}: {last['words']} [{last['code']}]{more}"


def _words(steps: Sequence[StepLine], remarks: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    jumps = [remark["step"] for remark in remarks if remark["code"] == "loss-spike"]
    yield f"{_many(len(jumps), 'jump')} of the loss{_at(jumps)}"
    bad = [
        line.step
        for line in steps
        if line.loss is not None and not (math.isfinite(line.loss) or line.skipped)
    ]
    if bad:
        yield f"{_many(len(bad), 'step')} without a finite loss{_at(bad)}"
    if skipped := sum(line.skipped for line in steps):
        yield f"{_many(skipped, 'step')} left out"
    known = [line.clipped for line in steps if line.clipped is not None]
    if known:
        yield f"{100 * sum(known) / len(known):.1f} % of steps clipped"
    gaps = [line.gap for line in steps if line.gap is not None]
    if gaps:
        yield "validation - training " + " -> ".join(
            f"{gap:.3f}" for gap in dict.fromkeys((gaps[0], gaps[-1]))
        )
    for code, words in _REST.items():
        where = [remark["step"] for remark in remarks if remark["code"] == code]
        if where:
            yield f"{words}{_at(where)}"


def _many(count: int, word: str) -> str:
    return f"{'no' if count == 0 else show_count(count)} {word}{'' if count == 1 else 's'}"


def _at(steps: Sequence[int]) -> str:
    if not steps:
        return ""
    shown = ", ".join(show_count(step) for step in steps[:_NAMED])
    more = f" and {len(steps) - _NAMED} more" if len(steps) > _NAMED else ""
    return f" ({'step' if len(steps) == 1 else 'steps'} {shown}{more})"
