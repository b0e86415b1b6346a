"""Looks at the ranks once a second while a job runs: ends one that stands still, and says which rank is slow."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from launcher.handoff.guard.lateness import (
    Beat,
    Whereabouts,
    allowed_seconds,
    late_ranks,
    read_beats,
    stall_words,
)
from launcher.handoff.guard.local_ranks import ANSWER_SECONDS, LocalRanks
from launcher.handoff.guard.slowness import Slowness
from launcher.planning.stages.ledger import ends_at, step_at
from launcher.spec.plan import RunPlan

__all__ = ["Guard", "LocalGuard", "local_guard"]

_EVERY = 1.0  # seconds between looks


class Guard:
    """Decides over a whole job. Who owns it brings beats and answers, from here and from elsewhere.

    say: gets one line for the person. folder: how the run folder is called in words.
    """

    def __init__(
        self,
        plan: RunPlan,
        *,
        say: Callable[[str], None],
        folder: str,
        answer_seconds: float = ANSWER_SECONDS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.reason: str | None = None
        """Why the job must end; None while it may go on."""
        self.late: Beat | None = None
        """The rank that all the others wait for, when it is one."""
        self.context: tuple[str, ...] = ()
        """Where that rank is, innermost line first."""
        self._plan, self._say, self._shown, self._clock = plan, say, folder, clock
        self._answer_seconds = answer_seconds
        self._beats: dict[int, Beat] = {}
        self._answers: dict[int, Mapping[str, Any]] = {}
        self._moved = clock()
        self._asked_at: float | None = None
        self._slowness = Slowness(planned_seconds=_planned_seconds(plan), stage_of=partial(_stage_of, plan))

    @property
    def asks(self) -> bool:
        """Whether every rank is to be asked for its stacks now."""
        return self._asked_at is not None and self.reason is None

    def see(self, beats: Iterable[Mapping[str, Any]]) -> None:
        """Beats of some ranks, as they wrote them."""
        for beat in read_beats(beats):
            before = self._beats.get(beat.rank)
            self._beats[beat.rank] = beat
            if before is None or beat.progress != before.progress:
                self._moved, self._asked_at = self._clock(), None
                self._answers.clear()

    def hear(self, answers: Iterable[Mapping[str, Any]]) -> None:
        """What ranks answered to being asked."""
        self._answers.update({int(each["rank"]): each for each in answers})

    def decide(self) -> str | None:
        """The reason to end, once there is one."""
        beats = [self._beats[rank] for rank in sorted(self._beats)]
        if self.reason is None and beats:
            if slow := self._slowness.see(beats):
                self._say(f"slow    {slow}")
            self._decide_on_stall(beats)
        return self.reason

    def _decide_on_stall(self, beats: list[Beat]) -> None:
        now = self._clock()
        total = ends_at(self._plan)
        allowed = allowed_seconds(beats, stall_seconds=self._plan.launch.stall_seconds, total_steps=total)
        if allowed is None:
            self._moved = now
        elif now - self._moved >= allowed and self._asked_at is None:
            self._asked_at = now
        elif self._asked_at is not None and self._is_answered(now):
            whereabouts = [
                Whereabouts(rank=rank, state=str(each["state"]), lines=tuple(map(str, each["lines"])))
                for rank, each in sorted(self._answers.items())
            ]
            stopped = [each.rank for each in whereabouts if each.state]
            late = late_ranks(beats, world_size=self._plan.layout.world_size, stopped=stopped)
            self.late = self._beats.get(late[0]) if len(late) == 1 else None
            self.context = next((each.lines for each in whereabouts if [each.rank] == list(late)), ())
            self.reason = stall_words(
                seconds=self._asked_at - self._moved,
                beats=beats,
                late=late,
                whereabouts=whereabouts,
                folder=self._shown,
            )

    def _is_answered(self, now: float) -> bool:
        assert self._asked_at is not None
        answered = [rank for rank, each in self._answers.items() if each["answered"]]
        return len(answered) == len(self._beats) or now - self._asked_at >= self._answer_seconds


class LocalGuard:
    """The guard of a job whose ranks are all on this machine: an attendant of run_job."""

    def __init__(
        self, guard: Guard, ranks: LocalRanks, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.guard, self._ranks, self._clock = guard, ranks, clock
        self._looked = clock()

    def files(self) -> Collection[int]:
        """None: it looks by itself."""
        return ()

    def attend(self, *, ending: bool) -> bool:
        """True once the job must end."""
        now = self._clock()
        if now - self._looked < _EVERY:
            return self.guard.reason is not None
        self._looked = now
        if ending:
            self._ranks.wake()
            return self.guard.reason is not None
        self.guard.see(self._ranks.beats())
        if self.guard.asks:
            self.guard.hear(self._ranks.answers())
        was_asking = self.guard.asks
        reason = self.guard.decide()
        if self.guard.asks and not was_asking:
            self._ranks.ask()
        return reason is not None


def local_guard(plan: RunPlan, *, folder: Path, shown: str, say: Callable[[str], None]) -> LocalGuard:
    """For a job of this machine alone. shown: the run folder as a person would type it."""
    return LocalGuard(Guard(plan, say=say, folder=shown), LocalRanks(folder, workdir=plan.launch.workdir))


def _stage_of(plan: RunPlan, step: int) -> int:
    planned = step_at(plan, step)
    return 0 if planned is None else planned.stage


def _planned_seconds(plan: RunPlan) -> float | None:
    """Seconds of a step as planned; None where the plan holds no time."""
    planned: Any = plan.time
    return None if planned is None else float(planned["step_seconds"])
