"""What this rank is doing, told to whoever watches; and the end of a training that is worth nothing any more."""

from __future__ import annotations

import math
import time
from pathlib import Path
from typing import Any

from batchwright_witness.beats import pulse_of
from batchwright_witness.checkpoints import checkpoint_folders, latest_checkpoint
from batchwright_witness.environment import Difference
from batchwright_witness.limits import Health
from batchwright_witness.parameters import all_finite
from launcher.errors import Problem, WorldError
from launcher.runtime.ending import leave, say
from launcher.runtime.handshake import meet
from launcher.runtime.reducers import Reducer
from launcher.runtime.world import World
from launcher.spec.plan import RunPlan

__all__ = ["Vitals"]

LATER_SECONDS = 0.5
"""Between the end of the rank whose loss it was and the others': who ends first is the one that is named."""


class Vitals:
    """Beats and health of one rank."""

    def __init__(self, plan: RunPlan, *, world: World, reducer: Reducer) -> None:
        self.pulse, self.health = pulse_of(world.folder, world.rank), Health()
        self._world, self._reducer, self._plan = world, reducer, plan
        self._own_is_finite = True
        self.pulse.watched()

    def stepped(self, number: int, *, loss: float, own: Any, skipped: bool) -> None:
        """An optimizer step, the same on every rank. Ends all of them when there have been too many bad ones.

        loss: summed over the ranks. own: this rank's part, a tensor or a number.
        """
        if not math.isfinite(loss) and not self.health.bad:
            self._own_is_finite = math.isfinite(float(own))
        (self.health.skips if skipped else self.health.steps)()
        self.health.looks(number, loss=loss, at=time.time(), skipped=skipped)
        self.pulse.finite = "true" if math.isfinite(loss) else "false"
        self.pulse.stepped(steps=number, skipped=self.health.skipped)
        found = self.health.verdict(whose="the loss", step=number, checkpoint=self._kept)
        if found:
            self._end(*found)

    def refuse_to_save(self) -> None:
        """Raises WorldError[loss-not-finite] when the last step has spoiled the parameters."""
        if self.health.bad and not all_finite(_parameters(self._reducer)):
            words = self.health.unsaved(whose="the loss", checkpoint=self._kept())
            raise WorldError([_problem("loss-not-finite", words)])

    def _end(self, code: str, words: Difference) -> None:
        world, size = self._world, self._reducer.world_size
        meeting = meet(self._reducer.rank, size)
        if meeting is None:
            problem = _problem(code, words)
            say([problem])
            leave(world, error=str(problem))
        finite, absent = meeting.exchange(self._own_is_finite, seconds=self._plan.launch.handshake_seconds)
        if absent:
            finite = [True] * size
        problem = _problem(code, words._replace(message=_named(words.message, finite)))
        ranks = sorted(range(size), key=lambda rank: finite[rank])
        meeting.part([problem], ranks=ranks)
        if self._reducer.rank != ranks[0]:
            time.sleep(LATER_SECONDS)
        leave(world, error=str(problem))

    def _kept(self) -> str | None:
        plan = self._plan
        folders = checkpoint_folders(plan.checkpoint, self._world.folder, Path(plan.launch.workdir))
        return latest_checkpoint(folders, before=self.health.good_until)


def _named(message: str, finite: list[bool]) -> str:
    """The ranks whose own loss it was, when it was not that of all."""
    ranks = [str(rank) for rank, well in enumerate(finite) if not well]
    if not ranks or len(ranks) == len(finite):
        return message
    whose = f"the loss of rank{'s' if len(ranks) > 1 else ''} {', '.join(ranks)}"
    return message.replace("the loss", whose, 1)


def _problem(code: str, words: Difference) -> Problem:
    return Problem(code=code, message=words.message, because=words.because, hint=words.hint)


def _parameters(reducer: Any) -> Any:
    carrier = getattr(reducer, "engine", None) or reducer.model
    return carrier.parameters()
