"""Power Lines: how somebody's own best batch and weight decay move when the data grow."""

from __future__ import annotations

import math

from launcher.planning.laws.answer import Answer, Law, answered, lacking, out_of_place
from launcher.planning.laws.asked import Asked
from launcher.planning.rescaling import weight_decay_timescale

__all__ = ["LAW", "ask", "batch_scale", "critical_batch_scale", "timescale_scale"]

LAW = Law(
    name="Power Lines",
    source="arXiv:2505.13738",
    gives="anchored",
    fitted="exponents only, AdamW; its factors in front are not used, their units being uncertain to us",
)


def batch_scale(*, data_scale: float) -> float:
    """Factor on the best batch in tokens when the data grow by a factor: data_scale ** 0.383.

    Source: Bergsma et al. 2025, arXiv:2505.13738.
    """
    return math.pow(data_scale, 0.383)


def critical_batch_scale(*, data_scale: float) -> float:
    """Factor on the critical batch in tokens when the data grow by a factor: data_scale ** 0.462.

    Source: as batch_scale, as a survey quotes it.
    """
    return math.pow(data_scale, 0.462)


def timescale_scale(*, data_scale: float) -> float:
    """Factor on AdamW's best averaging time (a share of the run) when tokens per parameter grow: data_scale ** -0.527.

    Source: as batch_scale, as a survey quotes it.
    """
    return math.pow(data_scale, -0.527)


def ask(asked: Asked) -> Answer:
    """What the recipe's own reference point becomes with this run's tokens."""
    if misplaced := out_of_place(LAW, asked=asked):
        return misplaced
    missing = [
        words
        for words, value in (
            ("the tokens of the run", asked.run_tokens),
            ("optimizer.reference_batch_size", asked.reference_batch_tokens),
            ("the tokens of the run it was tuned in (--reference-tokens)", asked.reference_run_tokens),
        )
        if value is None
    ]
    if missing:
        return lacking(
            LAW, what=" and ".join([", ".join(missing[:-1]), missing[-1]] if missing[1:] else missing)
        )
    assert asked.run_tokens is not None
    assert asked.reference_batch_tokens is not None
    assert asked.reference_run_tokens is not None
    growth = asked.run_tokens / asked.reference_run_tokens
    moved = (
        f"{asked.reference_batch_tokens:,.0f} tokens a step at {asked.reference_run_tokens:.3g} tokens, "
        f"data x {growth:.3g}: batch x {batch_scale(data_scale=growth):.3g}"
    )
    return answered(
        LAW,
        asked=asked,
        inputs={"D / D0": growth},
        batch_tokens=asked.reference_batch_tokens * batch_scale(data_scale=growth),
        weight_decay=_weight_decay(asked, growth),
        remarks=(moved,),
    )


def _weight_decay(asked: Asked, growth: float) -> float | None:
    """The one that gives this run, at its own batch and rate, the reference run's averaging time moved by the law."""
    rate, reference_rate, batch = asked.learning_rate, asked.reference_learning_rate, asked.batch_tokens
    reference_batch, reference_tokens = asked.reference_batch_tokens, asked.reference_run_tokens
    if not asked.weight_decay or asked.optimizer not in {"adamw", "adamw-8bit"}:
        return None
    if rate is None or reference_rate is None or batch is None or asked.run_tokens is None:
        return None
    if reference_batch is None or reference_tokens is None:
        return None
    reference = weight_decay_timescale(
        tokens_per_step=reference_batch,
        learning_rate=reference_rate,
        weight_decay=asked.weight_decay,
        total_tokens=reference_tokens,
    )
    wanted = reference * timescale_scale(data_scale=growth)
    return batch / (rate * wanted * asked.run_tokens)
