"""Everything the witness sees, as events from the hooks, and what follows from it: a stop, or a line at the end."""

from __future__ import annotations

import functools
import time
import weakref
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from batchwright_witness.counting import Counts, Seen
from batchwright_witness.environment import Difference
from batchwright_witness.exchange import Exchange
from batchwright_witness.findings import (
    models_difference,
    rate_difference,
    samples_difference,
    stage_departure,
    summary,
)
from batchwright_witness.journal import Journal
from batchwright_witness.rates import RateCheck
from batchwright_witness.samples import SampleCheck, accepted_samples, accepted_tokens, sum_over_ranks
from batchwright_witness.track import PATIENCE, STEPS, Track
from batchwright_witness.worlds import (
    accelerate_difference,
    asked_difference,
    count_difference,
    group_difference,
)

if TYPE_CHECKING:
    from batchwright_witness.borrowed import Borrowed
    from launcher.spec.plan import RunPlan

__all__ = ["Stop", "Watch"]


class Stop(Protocol):
    """Ends this process; returns only where it was asked to note the difference instead."""

    def __call__(self, code: str, difference: Difference, *, by_all: bool) -> None: ...


Fingerprint = Callable[[], float | None]
Earlier = Callable[[], int | None]


def _harmless(method: Callable[..., None]) -> Callable[..., None]:
    """A bug of ours ends the watching, not the training; a forked child is not watched at all."""

    @functools.wraps(method)
    def guarded(self: Watch, *args: Any, **kwargs: Any) -> None:
        if not self.alive:
            return
        try:
            method(self, *args, **kwargs)
        except Exception as error:  # noqa: BLE001
            self.alive = False
            self.blind.append(
                f"anything further: the witness itself failed ({type(error).__name__}: {error})"
            )

    return guarded


class Watch:
    """The state of this process; hooks call it, `stop` ends the process (or notes the fact, when asked to)."""

    def __init__(
        self, *, plan: RunPlan, borrowed: Borrowed, exchange: Exchange, journal: Journal, stop: Stop
    ) -> None:
        self.plan, self.counts, self.exchange = plan, Counts(), exchange
        self._borrowed, self._journal, self._stop = borrowed, journal, stop
        self.tracks: weakref.WeakKeyDictionary[Any, Track] = weakref.WeakKeyDictionary()
        self.kept: list[Track] = []
        self.waiting: weakref.WeakSet[Any] = weakref.WeakSet()
        """Optimizers that exist and have not stepped."""
        self.inside = 0
        """How many DeepSpeed engines are at work: the optimizer steps inside them are theirs."""
        self.wrappers: set[str] = set()
        """Classes that a forward went through."""
        self.alive = True
        """False in a forked child: its batches are not the rank's."""
        self.blind: list[str] = []
        self.departures: list[str] = []

    # what the hooks report

    @_harmless
    def carefully(self, call: Callable[..., None], *args: Any) -> None:
        """A hook's own work, which a new version of a library may not bear."""
        call(*args)

    @_harmless
    def batch(self, source: str, batch: Any) -> None:
        """A loader has handed out a batch, or the model takes one in."""
        self.counts.batch(source, batch)

    @_harmless
    def asked(self, world_size: Any, environ: Mapping[str, str]) -> None:
        """The script is about to make the default process group."""
        self._end_if(asked_difference(planned=self._ranks, asked=world_size, environ=environ))

    @_harmless
    def alone(self) -> None:
        """Accelerate is about to start DeepSpeed on a device for which it counts one rank."""
        self._end_if(count_difference(self._ranks, 1))

    @_harmless
    def joined(self) -> None:
        """The script has an Accelerator."""
        self._end_if(accelerate_difference(self._ranks))

    def knows(self, owner: Any) -> bool:
        """Whether this optimizer has stepped before."""
        return owner in self.tracks

    def steps(self, owner: Any) -> int:
        """Steps that this optimizer has done in this process."""
        return self.tracks[owner].steps if owner in self.tracks else 0

    @_harmless
    def starts(
        self, owner: Any, earlier: Earlier, *, zero_stage: int | None = None, skipped: int = 0
    ) -> None:
        """The first step of an optimizer is about to be done; `earlier` ones were done by another process.

        zero_stage: of the DeepSpeed engine that steps; None for an optimizer that steps by itself.
        skipped: how many of the earlier ones changed nothing.
        """
        self._notice(stage_departure(self.plan, zero_stage))
        before, planned, rate = earlier(), None if self.plan.stages else self.plan.learning_rate, None
        if planned is not None and before is not None:
            ours, batch = self._borrowed, self.plan.batch.global_batch_size
            rate = RateCheck(planned=planned, global_batch_size=batch, rate_at=ours.rate_at, draw=ours.draw)
        tokens = accepted_tokens(self.plan)
        track = Track(
            index=len(self.kept),
            before=before,
            samples=SampleCheck(accepted=accepted_samples(self.plan)),
            tokens=None if tokens is None else SampleCheck(accepted=tokens, kind="tokens"),
            rate=rate,
            skipped_before=skipped,
        )
        self.kept.append(track)
        self.tracks[owner] = track
        self.waiting.discard(owner)

    @_harmless
    def skipped(self, owner: Any) -> None:
        """A step was left out because gradients overflowed; its samples belong to no step."""
        if owner in self.tracks:
            self.tracks[owner].skipped += 1
            self.tracks[owner].mark = dict(self.counts.totals)

    @_harmless
    def stepped(
        self, owner: Any, rates: Callable[[], Sequence[float]], parameters: Fingerprint = lambda: None
    ) -> None:
        """An optimizer step has been done; `rates` are its learning rates, one per parameter group.

        parameters: a number that is the same on all ranks when their parameters are.
        """
        track, used = self.tracks[owner], rates()
        track.steps += 1
        seen, track.mark = self.counts.since(track.mark), dict(self.counts.totals)
        problem = self._rate_problem(track, used)
        if track.settled:
            self._notice(track.count_on(seen, self.plan.batch.global_batch_size))
        else:
            mine = parameters() if track.steps == STEPS and self._all_ranks_alike() else None
            self._exchange(track, seen, problem, mine)
        self._log(track, seen, used)

    # what is made of it

    @property
    def _ranks(self) -> int:
        return self.plan.layout.world_size

    def _rate_problem(self, track: Track, rates: Sequence[float]) -> Difference | None:
        if track.rate is None or not rates:
            return None
        known = track.rate.contradicted
        track.rate.see(done=track.applied, tried=track.number + track.skipped, rates=rates)
        if track.rate.contradicted is None:
            return None
        words = rate_difference(self.plan, track.rate, several=len(self.kept) > 1, draw=self._borrowed.draw)
        if track.settled:
            self._notice(None if known else words.message)
            return None
        return words if self._nothing_else_fits(track, "rate") else None

    def _all_ranks_alike(self) -> bool:
        """Whether every rank holds the whole model after a step; with two optimizers one may work inside the other."""
        several = len(self.kept) > 1 or bool(self.waiting)
        sharded = self.plan.layout.data_strategy != "ddp" or "FullyShardedDataParallel" in self.wrappers
        return self._ranks == self.plan.batch.data_parallel_size and not several and not sharded

    def _exchange(self, track: Track, seen: Seen, problem: Difference | None, mine: float | None) -> None:
        code = "learning-rate-differs"
        if track.steps == 1 and (
            found := group_difference(self._ranks) or accelerate_difference(self._ranks)
        ):
            code, problem = "world-differs", found
        report = {
            "numbers": seen.numbers,
            "unsure": seen.unsure,
            "parameters": mine,
            "stop": [code, *problem] if problem else None,
        }
        verdict = self.exchange.round(
            f"{track.index}/{track.steps}", report, lambda all_: self._judge(track, all_)
        )
        if verdict is None:
            track.settled = track.steps >= STEPS
            verdict = {"stop": report["stop"], "agreed": False}
        if verdict["stop"]:
            code, message, because, hint = verdict["stop"]
            track.settled = True
            self._stop(code, Difference(message, tuple(because), hint), by_all=self.exchange.heard)
            return
        track.agreed = verdict["agreed"]
        track.settled = track.settled or verdict["settled"]
        if track.agreed and track.counted is None and not self.plan.stages:
            track.start_counting(seen, self.plan.batch.global_batch_size)

    def _judge(self, track: Track, reports: list[dict[str, Any]]) -> dict[str, Any]:
        """On rank 0: the reports of all ranks for one step."""
        numbers, unsure = sum_over_ranks((report["numbers"], report["unsure"]) for report in reports)
        track.visible |= any(name.endswith(("rows", "drawn")) for name in numbers)
        stop = next((report["stop"] for report in reports if report["stop"]), None)
        checks = {"samples": track.samples, "tokens": track.tokens}
        for kind, check in checks.items():
            if check is None:
                continue
            check.see(step=track.steps, numbers=numbers, unsure=unsure)
            if stop is None and check.contradicted and self._nothing_else_fits(track, kind):
                own = [report["numbers"] for report in reports]
                stop = ["samples-differ", *samples_difference(self.plan, kind, check.contradicted, own)]
        if stop is None and (found := models_difference(self.plan, [each["parameters"] for each in reports])):
            stop = ["gradients-not-reduced", *found]
        return {"stop": stop, "agreed": track.samples.agreed, "settled": self._is_settled(track)}

    def _is_settled(self, track: Track) -> bool:
        if track.steps < STEPS:
            return False
        if track.steps >= PATIENCE:
            return True
        others = [other.rate for other in self.kept if other is not track and other.rate]
        rates = track.rate is None or track.rate.agreed or any(rate.agreed for rate in others)
        tokens = track.tokens is None or track.tokens.agreed
        return rates and ((track.samples.agreed and tokens) or not track.visible)

    def _nothing_else_fits(self, track: Track, kind: str) -> bool:
        """A script may have several optimizers and only one that the plan means: wait until none can be it."""
        checks = [getattr(other, kind) for other in self.kept if other is not track]
        if any(check is not None and check.agreed for check in checks):
            return False
        undecided = any(check is not None and not check.contradicted for check in checks)
        return track.steps >= PATIENCE or not (undecided or self.waiting)

    def _notice(self, words: str | None) -> None:
        if words and len(self.departures) < PATIENCE:
            self.departures.append(words)

    def _end_if(self, found: Difference | None) -> None:
        if found:
            self._stop("world-differs", found, by_all=False)

    def _log(self, track: Track, seen: Seen, rates: Sequence[float]) -> None:
        now, rate_of = time.perf_counter(), self._borrowed.rate_of_step
        line: dict[str, Any] = {
            "step": track.number,
            "samples": None if track.counted is None else round(track.counted),
            "learning_rate": rates[track.rate.group if track.rate else 0] if rates else None,
            "planned_learning_rate": rate_of(self.plan, track.applied, skipped=track.skips),
            "seconds": None if track.time is None else now - track.time,
            "rank_samples": _most(seen, "rows"),
            "rank_tokens": _most(seen, "tokens"),
        }
        if len(set(rates)) > 1:
            line["learning_rates"] = list(rates)
        track.time = now
        self._journal.step(track.index, line)
        if track.settled and not (track.rate and track.rate.contradicted):
            batch = self.plan.batch.global_batch_size
            counted = track.counted is not None
            self._journal.lead(track.index, samples=lambda held: held["step"] * batch if counted else None)

    def finish(self) -> dict[str, Any]:
        """The last record of the log: what was seen and what could not be."""
        found = summary(self.plan, self.kept, self.exchange.failed, self.blind, self.departures)
        self._journal.close({"witness": found})
        return found


def _most(seen: Seen, kind: str) -> int | None:
    return max((number for name, number in seen.numbers.items() if name.endswith(kind)), default=None)
