"""The trials of `batchwright selftest`: one optimizer step of the same global batch, cut in two ways."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from batchwright_witness.probing import ProbeOrder
from launcher.api import load_recipe, plan
from launcher.cli.ordering import located
from launcher.cli.surroundings import Surroundings
from launcher.cli.trials import Scratch, once, one_batch, try_out
from launcher.errors import HandoffError, Problem
from launcher.handoff.running.signals import signals_as_bytes
from launcher.handoff.trials.gradients import DROPOUT_TOLERANCE, TOLERANCES, gradient_norm, ratio_words
from launcher.handoff.trials.trial import TrialEnd
from launcher.planning.divisors import divisors
from launcher.reporting.selftest_text import SelfTestResult, SplitGradient

if TYPE_CHECKING:
    from launcher.spec.plan import RunPlan

__all__ = ["SelfTest"]

_UNCLIPPED = (
    1e30  # a bound that no gradient reaches: its norm is still computed where a script or an engine clips
)


class SelfTest:
    """One self-test of one recipe."""

    def __init__(
        self,
        *,
        path: str,
        overrides: tuple[str, ...],
        around: Surroundings,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._path, self._overrides = path, overrides
        self._around, self._clock = around, clock
        self._wake = -1
        self._folder = Path()
        self._trials = 0
        self._once: tuple[str, ...] = ()

    def run(self) -> SelfTestResult:
        """Its result. Raises LauncherError where a job fails, Interrupted."""
        began = self._clock()
        recipe = load_recipe(self._path, overrides=self._overrides)
        self._once = (*once(recipe), *one_batch(recipe))
        planned = plan(recipe, environ=self._around.environ)
        scratch = Scratch("selftest", planned.recipe_name, now=began)
        with signals_as_bytes() as self._wake, closing(scratch):
            self._folder = scratch.folder
            found = self._compare(planned)
        return replace(found, seconds=round(self._clock() - began, 3))

    def _compare(self, planned: RunPlan) -> SelfTestResult:
        nothing = SelfTestResult(
            verdict="not tested", where=_where(planned), precision=planned.precision.compute, seconds=0.0
        )
        if planned.model.batch_coupled:
            coupled = ", ".join(planned.model.batch_coupled)
            return replace(
                nothing,
                words=f"the model sees how the batch is cut (batch_coupled: {coupled}), and is meant to",
            )
        others = self._others(planned)
        if not others:
            return replace(nothing, words=_uncut(planned))
        own = self._try(planned)
        first = self._split(planned, own)
        for other in others:
            if (trial := self._try(other)).out_of_memory is None:
                second = self._split(other, trial)
                break
        else:
            return replace(nothing, words="every other split of the batch ran out of memory")
        return self._judged(replace(nothing, splits=(first, second)), planned, other, own)

    def _judged(
        self, found: SelfTestResult, planned: RunPlan, other: RunPlan, own: TrialEnd
    ) -> SelfTestResult:
        """own: the trial with the plan's split."""
        first, second = found.splits
        ratio = first.gradient_norm / second.gradient_norm
        tolerance = TOLERANCES[planned.precision.compute]
        found = replace(found, ratio=ratio, tolerance=tolerance, notes=tuple(_notes(planned, own)))
        if abs(ratio - 1) <= tolerance:
            return replace(found, verdict="passed")
        if (dropout := max(planned.model.dropout, own.dropout)) and abs(ratio - 1) <= DROPOUT_TOLERANCE:
            words = (
                f"the model has dropout ({dropout:g}), and each split draws its own masks: a ratio this near to 1 says "
                "nothing; switch dropout off in the script for an answer"
            )
            return replace(found, verdict="unclear", words=words)
        again = self._split(planned, self._try(planned)).gradient_norm
        if abs(again / first.gradient_norm - 1) > tolerance:
            words = (
                f"the same split twice has gradient norms {first.gradient_norm:.6g} and {again:.6g}: weights or "
                "samples of the first step are not seeded, and nothing can be compared"
            )
            return replace(found, verdict="unclear", words=words)
        words = ratio_words(ratio, planned=planned.batch, other=other.batch)
        return replace(found, verdict="failed", words=words)

    def _others(self, planned: RunPlan) -> list[RunPlan]:
        """Plans with another split of the same global batch, the largest micro-batch that fits first."""
        batch = planned.batch
        sizes = divisors(batch.micro_batch_size * batch.gradient_accumulation_steps)
        found = (self._plan(size) for size in reversed(sizes) if size != batch.micro_batch_size)
        return [each for each in found if each.verdict != "does-not-fit"][:3]

    def _changes(self, size: int) -> tuple[str, ...]:
        return (*self._overrides, *self._once, f"micro_batch_size={size}", "gradient_accumulation_steps=auto")

    def _plan(self, size: int) -> RunPlan:
        return plan(load_recipe(self._path, overrides=self._changes(size)), environ=self._around.environ)

    def _try(self, result: RunPlan) -> TrialEnd:
        """One optimizer step at the split of a plan, with gradients unclipped and no checkpoint of the recipe's."""
        self._trials += 1
        changes = [*self._changes(result.batch.micro_batch_size)]
        if result.optimizer.gradient_clipping is not None:
            changes.append(f"optimizer.gradient_clipping={_UNCLIPPED}")
        if result.checkpoint is not None:
            place = json.dumps(str(self._folder / "checkpoints"), ensure_ascii=False)
            changes.append(f"checkpoint.directory={place}")
        _, end = try_out(
            load_recipe(self._path, overrides=changes),
            asked=ProbeOrder(steps=1, samples="ragged", inspect=True),
            directory=self._folder / f"trial-{self._trials}",
            wake=self._wake,
            around=self._around,
            clock=self._clock,
        )
        return end

    def _split(self, result: RunPlan, end: TrialEnd) -> SplitGradient:
        """Raises HandoffError[trial-failed] where there is no gradient."""
        batch, norm = result.batch, gradient_norm(end, result)
        if end.exit or not norm:
            raise HandoffError(located([_without_gradient(result, end)], load_recipe(self._path)))
        return SplitGradient(
            micro_batch_size=batch.micro_batch_size,
            gradient_accumulation_steps=batch.gradient_accumulation_steps,
            gradient_norm=norm,
            seconds=round(end.seconds, 3),
        )


def _uncut(planned: RunPlan) -> str:
    sequences = planned.batch.micro_batch_size * planned.batch.gradient_accumulation_steps
    if sequences == 1:
        return "a rank holds one sequence per optimizer step, which cannot be cut"
    return "no other split of the batch fits the device"


def _without_gradient(result: RunPlan, end: TrialEnd) -> Problem:
    split = f"micro-batch {result.batch.micro_batch_size}"
    if end.exit:
        return Problem(
            code="trial-failed",
            path="launch.script",
            message=f"the job with {split} failed before its first optimizer step: {end.message}",
            because=end.context,
            hint="mend the script; batchwright run shows the whole of its output",
        )
    return Problem(
        code="trial-failed",
        path="launch.script",
        message=f"the job with {split} ended, and no gradient was seen at an optimizer step",
        hint="the script has to train, with an optimizer of torch or DeepSpeed",
    )


def _notes(planned: RunPlan, own: TrialEnd) -> Iterator[str]:
    lengths = next((record["by_length"] for record in own.records.values() if record.get("by_length")), None)
    if not planned.launch.runtime:
        yield "samples are the script's own first ones; where all have one length, a mean of means passes too"
    elif lengths and lengths["longest"] is not None:
        longest, shortest = lengths["longest"], lengths["shortest"]
        if longest == shortest:
            yield f"all samples looked at are {longest} long; where all have one length, a mean of means passes too"
        else:
            yield f"half of the samples are the longest ({longest}), half the shortest ({shortest})"


def _where(result: RunPlan) -> str:
    layout, launch = result.layout, result.launch
    ranks = f"{layout.world_size} rank{'s' if layout.world_size != 1 else ''}"
    return (
        f"selftest {result.recipe_name}: gradient of the first optimizer step, {result.batch.global_batch_size} "
        f"sequences cut in two ways, {ranks}, {launch.engine} ({launch.executor})"
    )
