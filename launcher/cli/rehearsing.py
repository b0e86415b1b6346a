"""The two starts of `batchwright rehearse`, and what is made of them."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from batchwright_witness.probing import ProbeOrder
from launcher.api import load_recipe, plan
from launcher.cli.ordering import refuse_what_does_not_fit, warn
from launcher.cli.surroundings import Surroundings
from launcher.cli.trials import Scratch, largest_stage, once, try_out
from launcher.handoff.running.signals import signals_as_bytes
from launcher.handoff.trials.rehearsal import latest_checkpoint, node_bytes
from launcher.handoff.trials.rehearsed_parts import (
    evaluation_part,
    host_memory_part,
    longest_part,
    memory_part,
    node_budget,
    peak_bytes,
    reload_parts,
    save_part,
    steps_part,
)
from launcher.handoff.trials.trial import TrialEnd
from launcher.planning.stages.resuming import resuming_words
from launcher.reporting.rehearse_text import RehearsalResult, RehearsedPart
from launcher.reporting.run_text import show_duration

if TYPE_CHECKING:
    from launcher.spec.plan import RunPlan
    from launcher.spec.recipe import Recipe

__all__ = ["SAVED", "Rehearsal"]

SAVED = 2
"""Optimizer steps before evaluation and save: the first makes the optimizer's state, the second trains with it."""
_EVERY = f"{SAVED} steps"
_FIRST = "start-1"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Asked:
    """The recipe as it is rehearsed."""

    recipe: Recipe
    plan: RunPlan
    folder: Path
    overrides: tuple[str, ...]
    steps: int
    """Of the first start."""

    def checkpoint(self) -> Path | None:
        """What the first start saved; a script that was told the run folder saves by the recipe's own name there."""
        if self.recipe.checkpoint is None:
            return None
        named = (self.folder / _FIRST / self.recipe.checkpoint.directory).resolve()
        places = [_saves_in(self.folder), *([named] if named.is_relative_to(self.folder) else [])]
        return next(filter(None, map(latest_checkpoint, places)), None)


class Rehearsal:
    """One rehearsal of one recipe.

    judged: somebody has refused what does not fit, or wants it all the same, and has said the plan's warnings.
    """

    def __init__(
        self,
        *,
        path: str,
        overrides: tuple[str, ...],
        keep: bool,
        judged: bool = False,
        around: Surroundings,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._path, self._overrides, self._keep, self._judged = path, overrides, keep, judged
        self._around, self._clock = around, clock

    def run(self) -> RehearsalResult:
        """Its result. Raises LauncherError where nothing could be started, Interrupted."""
        recipe = load_recipe(self._path, overrides=self._overrides)
        result = plan(recipe, environ=self._around.environ)
        if not self._judged:
            refuse_what_does_not_fit(result)
            warn(result.problems, self._around)
        if (largest := largest_stage(recipe, result)) is not None:
            number, changes = largest
            self._around.tell(
                f"stage {number} of {len(result.stages or ())} needs most memory: it is rehearsed"
            )
            self._overrides = (*self._overrides, *changes)
            recipe = load_recipe(self._path, overrides=self._overrides)
            result = plan(recipe, environ=self._around.environ)
        began = self._clock()
        scratch = Scratch("rehearsal", result.recipe_name, now=began)
        with signals_as_bytes() as wake, closing(scratch):
            asked = self._asked(recipe, result, scratch.folder)
            first = self._start(asked, number=1, wake=wake)
            checkpoint, second = asked.checkpoint(), None
            if first.exit == 0 and recipe.resume and checkpoint and asked.steps > SAVED:
                words = resuming_words(recipe, checkpoint=str(checkpoint))
                second = self._start(asked, number=2, wake=wake, resumed=words)
            found = self._judge(asked, first, second, checkpoint, seconds=self._clock() - began)
            scratch.keep = found.folder is not None
        return found

    def _asked(self, recipe: Recipe, result: RunPlan, folder: Path) -> _Asked:
        """Evaluation and checkpoint after two steps, in a place of our own; the schedule keeps its length."""
        changes = [*self._overrides, *once(recipe)]
        if recipe.evaluation is not None:
            changes.append(f"evaluation.every={_EVERY}")
        if recipe.checkpoint is not None:
            place = json.dumps(str(_saves_in(folder)), ensure_ascii=False)
            changes += [f"checkpoint.every={_EVERY}", f"checkpoint.directory={place}"]
        total = result.data["total_steps"]
        steps = SAVED + 1 if total is None else min(SAVED + 1, total)
        return _Asked(recipe=recipe, plan=result, folder=folder, overrides=tuple(changes), steps=steps)

    def _start(
        self, asked: _Asked, *, number: int, wake: int, resumed: tuple[str, ...] | None = None
    ) -> TrialEnd:
        """One job; what it does is said when it is over, since it takes a while."""
        more = () if resumed is None else (f"launch.args={json.dumps(resumed, ensure_ascii=False)}",)
        steps = asked.steps if resumed is None else 1
        _, end = try_out(
            load_recipe(self._path, overrides=(*asked.overrides, *more)),
            asked=ProbeOrder(steps=steps, samples="longest", inspect=True),
            directory=asked.folder / f"start-{number}",
            wake=wake,
            around=self._around,
            clock=self._clock,
        )
        how = "ended as asked" if end.exit == 0 else f"failed: {end.message}"
        what = "anew" if resumed is None else f"from what was saved after step {SAVED}"
        self._around.tell(f"start {number}  {what}: {how}, took {show_duration(end.seconds)}")
        return end

    def _judge(
        self,
        asked: _Asked,
        first: TrialEnd,
        second: TrialEnd | None,
        checkpoint: Path | None,
        *,
        seconds: float,
    ) -> RehearsalResult:
        recipe, result, run = asked.recipe, asked.plan, asked.folder / _FIRST
        ends = [first, *([second] if second else [])]
        parts: list[RehearsedPart] = [
            longest_part(result, first),
            steps_part(result, first, run, steps=min(SAVED, asked.steps)),
        ]
        if all(part.verdict != "failed" for part in parts):
            parts.append(evaluation_part(recipe, result, first, run, at=SAVED))
            parts.append(save_part(recipe, result, first, checkpoint, at=SAVED, steps=asked.steps))
        if all(part.verdict != "failed" for part in parts):
            saved = checkpoint is not None
            parts += reload_parts(recipe, result, first, second, at=SAVED, saved=saved, folder=asked.folder)
        parts += [memory_part(result, ends), host_memory_part(result, ends)]
        failed = any(part.verdict == "failed" for part in parts)
        memory = result.memory
        return RehearsalResult(
            where=_where(result),
            parts=tuple(parts),
            planned_peak_bytes=None if memory is None else memory.peak_bytes,
            peak_bytes=peak_bytes(ends),
            planned_host_bytes=node_budget(result),
            host_bytes=node_bytes(ends),
            seconds=round(seconds, 3),
            folder=str(asked.folder) if failed or self._keep else None,
            context=next((end.context for end in ends if end.exit), ()),
        )


def _saves_in(folder: Path) -> Path:
    """What stands for the recipe's checkpoint directory: in the run folder, which every node has."""
    return folder / _FIRST / "checkpoints"


def _where(result: RunPlan) -> str:
    layout, launch = result.layout, result.launch
    nodes = f"{layout.num_nodes} node{'s' if layout.num_nodes != 1 else ''}"
    ranks = f"{layout.world_size} rank{'s' if layout.world_size != 1 else ''}"
    return f"rehearsed {result.recipe_name} at its real size: {ranks} on {nodes}, {launch.engine} ({launch.executor})"
