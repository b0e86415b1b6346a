"""The learning rate of a plan in a few lines and a small picture."""

from __future__ import annotations

from dataclasses import replace

from launcher.planning.stages.ledger import rate_at, stages_of, tokens_after
from launcher.planning.warmup import who_keeps
from launcher.reporting.compiled_text import compiled_lines, owner_in_words, peak_step, without_owner
from launcher.reporting.decay_text import decay_in_words
from launcher.reporting.glyphs import Glyphs
from launcher.reporting.optimizer_text import optimizer_lines
from launcher.spec.plan import LearningRatePlan, RunPlan
from launcher.spec.recipe import Recipe
from launcher.units import Amount, show_count, show_rate

__all__ = ["rate_lines", "show_large", "sparkline"]

_BARS = 48


def rate_lines(plan: RunPlan, recipe: Recipe, glyphs: Glyphs) -> list[str]:
    """Peak and how it was scaled, warmup, decay and length, who applies it, and the curve."""
    rate = plan.learning_rate
    if rate is None:
        return [
            *_length_without_rate(plan),
            "no learning rate is planned: optimizer.learning_rate is not written",
        ]
    return [
        f"{_peak(rate)}; {_applied(plan, rate)}",
        *([] if rate.reference_learning_rate is None else [rate.reason]),
        *optimizer_lines(plan.optimizer),
        _warmup(plan, rate, recipe),
        _decay(plan, rate, recipe),
        _points(rate, glyphs),
        *compiled_lines(rate),
        *_curves(plan, rate, glyphs),
    ]


def sparkline(plan: RunPlan, rate: LearningRatePlan, glyphs: Glyphs, *, bars: int = _BARS) -> str:
    """The whole run, or the warmup twice over when the run has no end, as one line of bars."""
    total = rate.total_samples or 2 * rate.warmup_samples or 1
    values = [rate_at(plan, _samples_at(plan, rate, total, at / (bars - 1))) or 0.0 for at in range(bars)]
    top = max(values) or 1.0
    return "".join(glyphs.bars[min(7, int(value / top * 7.999))] for value in values)


def _curves(plan: RunPlan, rate: LearningRatePlan, glyphs: Glyphs) -> list[str]:
    """The plan's curve; where another stack draws it, under the one that was asked for."""
    drawn = sparkline(plan, rate, glyphs)
    if rate.compiled is None:
        return [drawn]
    asked = replace(plan, learning_rate=without_owner(rate))
    return [f"asked {sparkline(asked, rate, glyphs)}", f"drawn {drawn}"]


def _samples_at(plan: RunPlan, rate: LearningRatePlan, total: int, share: float) -> int:
    """Samples at a share of the run, by what its clock counts."""
    tokens = tokens_after(plan, total)
    if rate.schedule.clock == "samples" or tokens is None:
        return round(total * share)
    stage = [each for each in stages_of(plan) if (each.tokens_before or 0) <= tokens * share][-1]
    length = stage.batch.sequence_length or 1
    return stage.samples_before + round((tokens * share - (stage.tokens_before or 0)) / length)


def _peak(rate: LearningRatePlan) -> str:
    if rate.reference_learning_rate is None or rate.reference_batch is None:
        return f"peak {show_rate(rate.peak_learning_rate)}, {rate.reason}"
    unit = "tokens" if rate.reference_unit == "tokens" else "sequences"
    at = f"{show_large(rate.reference_batch)} {unit}"
    reference = show_rate(rate.reference_learning_rate)
    factor = f"x {rate.scale:.4g} ({rate.scaling_rule} rule)"
    return f"peak {show_rate(rate.peak_learning_rate)} = {reference} (at {at}) {factor}"


def _warmup(plan: RunPlan, rate: LearningRatePlan, recipe: Recipe) -> str:
    if rate.warmup_samples == 0 and rate.warmup_steps == 0:
        return "no warmup"
    kept = recipe.schedule.warmup_keeps
    if recipe.schedule.warmup == "auto":
        note, written = " (auto: what beta2 needs, 1 % to 10 % of the run)", None
    else:
        note, written = _kept(kept), recipe.schedule.warmup
    amounts = _conversions(plan, written, steps=rate.warmup_steps, samples=rate.warmup_samples)
    return f"warmup {' = '.join(amounts)}{note}"


def _kept(keeps: str) -> str:
    return "" if keeps == "unit" else f" (its {keeps} kept, as {who_keeps(keeps)})"


def _decay(plan: RunPlan, rate: LearningRatePlan, recipe: Recipe) -> str:
    shape = decay_in_words(recipe)
    stays = rate.schedule.decay == "constant"
    target = "" if stays else f" to {show_rate(rate.final_learning_rate)}"
    ends = None if rate.schedule.decay_end_samples is None else recipe.schedule.decay_ends
    if recipe.schedule.decay_at:  # the final rate is that behind the marks
        ends = None
    target += "" if ends is None else f" at {ends}"
    if rate.total_steps is None or rate.total_samples is None:
        return f"{shape}{target}, no end is planned"
    amounts = _conversions(plan, recipe.schedule.length, steps=rate.total_steps, samples=rate.total_samples)
    word = " for" if stays else " at" if ends is None else ", for"
    return f"{shape}{target}{word} {' = '.join(amounts)}"


def _points(rate: LearningRatePlan, glyphs: Glyphs) -> str:
    """Start, first step, peak and end, as the steps will be trained."""
    words = [f"start {show_rate(rate.schedule.start_learning_rate)}" if rate.warmup_samples else ""]
    words.append(f"step 1 at {show_rate(rate.curve[0][1])}" if rate.curve else "")
    if rate.warmup_steps > 1:
        words.append(f"peak at step {show_count(peak_step(rate))}")
    if rate.total_steps and rate.curve:
        words.append(f"step {show_count(rate.total_steps)} at {show_rate(rate.curve[-1][1])}")
    return glyphs.dot.join(word for word in words if word)


def _applied(plan: RunPlan, rate: LearningRatePlan) -> str:
    if rate.owner == "runtime" and plan.launch.runtime:
        return "applied by the runtime"
    if rate.compiled is not None:
        return owner_in_words(rate, carried=plan.applied_by.get("learning_rate") == "argument")
    if plan.applied_by.get("learning_rate") == "argument":
        return "passed to the script"
    return "the script must apply it"


def _conversions(plan: RunPlan, written: Amount | None, *, steps: int, samples: int) -> list[str]:
    """The amount as written, and what it is in the other units."""
    length, tokens = plan.batch.sequence_length, tokens_after(plan, samples)
    known = {
        "steps": (steps, f"{show_count(steps)} step{'s' if steps != 1 else ''}"),
        "samples": (samples, f"{show_large(samples)} sequences"),
    }
    if tokens is not None:
        known["tokens"] = (tokens, f"{show_large(tokens)} tokens")
    if written is None:
        return [text for _, text in known.values()]
    # rounding to whole steps and sequences does not make it another amount
    grain = {"steps": 1, "samples": 1, "tokens": length or 1}
    written_again = (
        written.unit in known and abs(known[written.unit][0] - written.number) < grain[written.unit]
    )
    return [
        str(written),
        *(text for unit, (_, text) in known.items() if unit != written.unit or not written_again),
    ]


def _length_without_rate(plan: RunPlan) -> list[str]:
    steps = plan.data.get("total_steps")
    return [f"{show_count(steps)} steps"] if steps else []


def show_large(number: int) -> str:
    """A count a person can hold: exact below 100,000, else three digits and K, M, B or T (decimal)."""
    if number < 100_000:
        return show_count(number)
    for factor, prefix in ((10**12, "T"), (10**9, "B"), (10**6, "M"), (10**3, "K")):
        if number >= factor:
            return f"{number / factor:.4g} {prefix}"
    return show_count(number)
