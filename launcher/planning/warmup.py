"""How long the warmup is in samples: as written, by what Adam needs, or as another batch had it."""

from __future__ import annotations

import math
from dataclasses import replace
from fractions import Fraction
from typing import NamedTuple

from launcher.errors import Problem
from launcher.planning.reference import batch_ratio, reference_of
from launcher.planning.rescaled import second_moment_at
from launcher.planning.yardstick import Yardstick, needs_length, unknown_length
from launcher.spec.recipe import Recipe
from launcher.units import Amount

__all__ = ["auto_warmup_steps", "kept_in", "solve_warmup", "warmup_remarks", "who_keeps"]

_EXAMPLES = {
    "samples": "Goyal et al. 2017, arXiv:1706.02677; MLPerf Llama 3.1 405B",
    "tokens": "GPT-3, arXiv:2005.14165; BLOOM",
    "steps": "LEGW, arXiv:1901.08256; LAMB, arXiv:1904.00962; Ma & Yarats 2019, arXiv:1910.04209",
}


class _Kept(NamedTuple):
    """A warmup under one convention."""

    steps: int
    samples: Fraction


def who_keeps(keeps: str) -> str:
    """Publications that keep a warmup constant in steps, samples or tokens; empty for what was written."""
    return _EXAMPLES.get(keeps, "")


def auto_warmup_steps(*, beta2: float | None, total_steps: int) -> int:
    """Steps of warmup of a run of `total_steps`: max(2 / (1 - beta2), 1 %), at least 1 and at most 10 % of the run.

    beta2: of the optimizer; None where it has no second moment.
    Source: 2 / (1 - beta2), Ma & Yarats 2019, arXiv:1910.04209; a tenth of the run at most,
    google-research/tuning_playbook@7554a51; 1 % at least is ours.
    """
    needed = Fraction(total_steps, 100)
    if beta2 is not None:
        needed = max(
            needed, 2 / (1 - Fraction(repr(beta2)))
        )  # 0.999 as written: 2000, not 2000.0000000000018
    return max(1, min(math.ceil(needed), total_steps // 10))


def solve_warmup(recipe: Recipe, yardstick: Yardstick) -> tuple[Fraction, tuple[Problem, ...]]:
    """Samples of the warmup, exact, with what stands in the way."""
    written, keeps = recipe.schedule.warmup, recipe.schedule.warmup_keeps
    if written is None:
        return Fraction(0), ()
    if written == "auto":
        return _auto(recipe, yardstick)
    samples = kept_in(keeps, written=written, recipe=recipe, yardstick=yardstick)
    if samples is None:
        return Fraction(0), (unknown_length(written, "schedule.warmup"),)
    return samples, ()


def kept_in(keeps: str, *, written: Amount, recipe: Recipe, yardstick: Yardstick) -> Fraction | None:
    """Samples of a warmup written for the reference batch when its steps, samples or tokens stay; unit: as written.

    Source: constant in samples or tokens, and constant in steps: who_keeps names the publications.
    """
    reference = reference_of(recipe)
    if keeps == "unit" or reference is None:
        return yardstick.samples(written)
    there = replace(
        yardstick, batch=reference.sequences, sequence_length=reference.sequence_length, clock=None
    )
    samples = there.samples(written)
    if samples is None:
        return None
    if keeps == "steps":
        return yardstick.samples(_of(samples / reference.sequences, "steps"))
    if keeps == "tokens" and reference.tokens is not None and yardstick.sequence_length is not None:
        return yardstick.samples(_of(samples * reference.tokens / reference.sequences, "tokens"))
    return yardstick.samples(_of(samples, "samples"))


def warmup_remarks(
    recipe: Recipe, yardstick: Yardstick, *, warmup: Fraction, total: Fraction | None
) -> tuple[Problem, ...]:
    """A warmup that outlasts the run, and one whose batch differs from the reference without a word on what stays."""
    found: tuple[Problem, ...] = ()
    if total is not None and warmup > total:
        found = (_longer_than_run(recipe, warmup, total),)
    return (*found, *_two_conventions(recipe, yardstick))


def _auto(recipe: Recipe, yardstick: Yardstick) -> tuple[Fraction, tuple[Problem, ...]]:
    if yardstick.total_samples is None:
        return Fraction(0), (needs_length("schedule.warmup: auto", "schedule.warmup"),)
    steps = yardstick.total_samples / yardstick.batch
    if yardstick.clock is not None:
        steps = yardstick.clock.read(yardstick.total_samples, wanted="steps")
    beta2 = second_moment_at(recipe, global_batch_size=yardstick.batch)
    warmup = auto_warmup_steps(beta2=beta2, total_steps=math.ceil(steps))
    return yardstick.samples(_of(Fraction(warmup), "steps")) or Fraction(0), ()


def _of(number: Fraction, unit: str) -> Amount:
    return Amount(number=number, unit=unit, text=f"{float(number):g} {unit}")


def _longer_than_run(recipe: Recipe, warmup: Fraction, total: Fraction) -> Problem:
    return Problem(
        code="warmup-longer-than-run",
        severity="warning",
        path="schedule.warmup",
        message=f"`schedule.warmup: {recipe.schedule.warmup}` ends after the run: the peak is never reached",
        because=(f"warmup {math.floor(warmup)} > length {math.floor(total)} samples",),
        hint="shorten schedule.warmup if that is not meant",
    )


def _two_conventions(recipe: Recipe, yardstick: Yardstick) -> tuple[Problem, ...]:
    """Publications disagree on what a larger batch does to a warmup; here is what each would do to this one."""
    written, keeps, reference = recipe.schedule.warmup, recipe.schedule.warmup_keeps, reference_of(recipe)
    silent = keeps == "unit" and "schedule.warmup_keeps" not in recipe.marks
    scaled = recipe.optimizer.reference_learning_rate is not None
    if not (silent and scaled and reference is not None and isinstance(written, Amount) and written.number):
        return ()
    ratio = batch_ratio(
        reference, global_batch_size=yardstick.batch, sequence_length=yardstick.sequence_length
    )
    if ratio.kappa == 1:
        return ()
    kept = {
        name: _kept(name, written=written, recipe=recipe, yardstick=yardstick)
        for name in _conventions(recipe, yardstick)
    }
    if len(set(kept.values())) == 1:
        return ()
    return (
        Problem(
            code="warmup-conventions-differ",
            severity="note",
            path="schedule.warmup",
            message=f"`schedule.warmup: {written}` is kept as written at x{float(ratio.kappa):.4g} the reference "
            "batch; publications differ on what should stay",
            because=tuple(
                f"constant in {name} ({who_keeps(name)}): {here.steps} steps, {math.floor(here.samples)} samples"
                for name, here in kept.items()
                if here is not None
            ),
            hint=f"write schedule.warmup_keeps: {', '.join(kept)}, or unit for as written",
        ),
    )


def _conventions(recipe: Recipe, yardstick: Yardstick) -> tuple[str, ...]:
    """Tokens are another convention than samples only where sequences have another length than at the reference."""
    reference = reference_of(recipe)
    if reference is None or reference.sequence_length == yardstick.sequence_length:
        return "samples", "steps"
    return "samples", "tokens", "steps"


def _kept(keeps: str, *, written: Amount, recipe: Recipe, yardstick: Yardstick) -> _Kept | None:
    samples = kept_in(keeps, written=written, recipe=recipe, yardstick=yardstick)
    if samples is None:
        return None
    if yardstick.clock is not None:
        steps = yardstick.clock.read(samples, wanted="steps")
        return _Kept(math.ceil(steps), yardstick.clock.read(samples, wanted="samples"))
    return _Kept(math.ceil(samples / yardstick.batch), samples)
