"""What GPT-3 was trained with at each width: practice of one group, not a law."""

from __future__ import annotations

import math

from launcher.planning.laws.answer import Answer, Axis, Law, answered, lacking, out_of_place
from launcher.planning.laws.asked import Asked

__all__ = ["LAW", "RATES_BY_WIDTH", "ask", "learning_rate"]

RATES_BY_WIDTH = (
    (768, 6.0e-4),
    (1024, 3.0e-4),
    (1536, 2.5e-4),
    (2048, 2.0e-4),
    (2560, 1.6e-4),
    (4096, 1.2e-4),
    (5140, 1.0e-4),
    (12288, 0.6e-4),
)
"""Width and peak learning rate of the eight GPT-3 models, Brown et al. 2020, arXiv:2005.14165 table 2.1."""

_WIDTHS = Axis(name="width", low=768, high=12288, what="hidden_size")

LAW = Law(
    name="GPT-3 by width",
    source="arXiv:2005.14165",
    gives="practice",
    fitted="eight models in standard parametrisation, Adam, 300 B tokens; their batches grow from 0.5 to 3.2 M tokens",
    axes=(_WIDTHS,),
)


def learning_rate(*, width: float) -> float:
    """Peak learning rate at a width of the table's range, on straight lines between its rows in logarithms.

    Source: RATES_BY_WIDTH; the interpolation is ours.
    """
    rows = RATES_BY_WIDTH
    at = max(1, sum(row[0] < width for row in rows))
    (low, low_rate), (high, high_rate) = rows[at - 1], rows[at]
    share = math.log(width / low) / math.log(high / low)
    return low_rate * math.pow(high_rate / low_rate, share)


def ask(asked: Asked) -> Answer:
    """The rate that goes with the recipe's width."""
    if misplaced := out_of_place(LAW, asked=asked):
        return misplaced
    if asked.hidden_size is None:
        return lacking(LAW, what="hidden_size")
    if _WIDTHS.beyond(asked.hidden_size) > 1:
        return lacking(
            LAW, what=f"a width of {_WIDTHS.low:,} to {_WIDTHS.high:,}: a table has no slope beyond its ends"
        )
    return answered(
        LAW,
        asked=asked,
        inputs={"width": asked.hidden_size},
        learning_rate=learning_rate(width=asked.hidden_size),
        remarks=("a recipe that changes hidden_size and keeps its rate leaves this practice",),
    )
