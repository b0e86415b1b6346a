"""The trials of `batchwright probe`, from the first guess to the measurement that is kept beside the recipe."""

from __future__ import annotations

import json
import tempfile
import time
from bisect import bisect_left
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from batchwright_witness.probing import ProbeOrder
from launcher.api import load_recipe, plan, usable_bytes
from launcher.cli.ordering import located, warn
from launcher.cli.surroundings import Surroundings
from launcher.cli.trials import once, one_batch, try_out
from launcher.discovery.measurements import code_hashes, measurement_key, probe_folder, work_folder
from launcher.errors import HandoffError, Problem
from launcher.handoff.running.signals import signals_as_bytes
from launcher.handoff.status import time_stamp
from launcher.handoff.trials.kept import keep
from launcher.handoff.trials.trial import TrialEnd
from launcher.measuring.probe_search import largest_fitting, next_size
from launcher.planning.divisors import divisors
from launcher.planning.memory.measured import probe_setting
from launcher.planning.words import counted
from launcher.reporting.probe_text import ProbeResult, trial_line
from launcher.spec.measurement import Measurement, RankPeak, Trial
from launcher.spec.plain import to_plain

if TYPE_CHECKING:
    from launcher.spec.plan import RunPlan
    from launcher.spec.recipe import Recipe

__all__ = ["Probe"]

_SPLIT = ("micro_batch_size=auto", "gradient_accumulation_steps=auto")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Asked:
    """What is probed: the recipe with its split left open, its plan by the model alone, the limit of one rank."""

    recipe: Recipe
    plan: RunPlan
    limit: int

    @property
    def sequences(self) -> int:
        """Of one rank in one optimizer step."""
        return self.plan.batch.slots_per_step // self.plan.batch.data_parallel_size


class Probe:
    """One probe of one recipe."""

    def __init__(
        self,
        *,
        path: str,
        overrides: tuple[str, ...],
        steps: int,
        limit: int | None,
        around: Surroundings,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._path, self._overrides, self._limit = path, overrides, limit
        self._steps, self._around, self._clock = steps, around, clock
        self._code: dict[str, str] = {}
        self._versions: dict[str, str] = {}

    def run(self) -> ProbeResult:
        """The measurement, kept beside the recipe. Raises LauncherError where a job fails, Interrupted."""
        asked = self._asked()
        warn(asked.plan.problems, self._around)
        sizes, known = divisors(asked.sequences), dict[int, bool]()
        start = self._guess(asked, sizes)
        trials: list[Trial] = []
        with signals_as_bytes() as wake, tempfile.TemporaryDirectory(prefix="batchwright-probe-") as folder:
            while (size := next_size(sizes=sizes, start=start, known=known)) is not None:
                directory = Path(folder).resolve() / f"trial-{len(trials) + 1}"
                trial = self._trial(asked, size, directory=directory, wake=wake)
                known[size] = trial.outcome == "fits"
                trials.append(trial)
                self._around.tell(trial_line(trial, number=len(trials)))
        return self._keep(asked, trials, largest=largest_fitting(known))

    def _asked(self) -> _Asked:
        recipe = load_recipe(self._path, overrides=(*self._overrides, *_SPLIT))
        if alone := one_batch(recipe):
            self._overrides = (*self._overrides, *alone)
            recipe = load_recipe(self._path, overrides=(*self._overrides, *_SPLIT))
        self._overrides = (*self._overrides, *once(recipe))
        result = plan(recipe, environ=self._around.environ, measured=False)
        limit = self._limit
        if limit is None:
            limit = usable_bytes(recipe, result, environ=self._around.environ)
        if limit is None:
            raise HandoffError(located([_no_limit(result)], recipe))
        total = result.data["total_steps"]
        self._steps = self._steps if total is None else min(self._steps, total)
        return _Asked(recipe=recipe, plan=result, limit=limit)

    def _guess(self, asked: _Asked, sizes: Sequence[int]) -> int:
        """The largest micro-batch that the memory model expects to fit; the plan's own where it knows nothing."""
        if asked.plan.memory is None:
            return asked.plan.batch.micro_batch_size

        def is_too_large(size: int) -> bool:
            recipe = load_recipe(self._path, overrides=self._split(size))
            memory = plan(recipe, environ=self._around.environ, measured=False).memory
            return memory is None or memory.peak_bytes > asked.limit

        return sizes[max(0, bisect_left(sizes, x=True, key=is_too_large) - 1)]

    def _split(self, size: int) -> tuple[str, ...]:
        """The overrides of one trial."""
        return (*self._overrides, f"micro_batch_size={size}", _SPLIT[1])

    def _trial(self, asked: _Asked, size: int, *, directory: Path, wake: int) -> Trial:
        recipe = load_recipe(self._path, overrides=self._split(size))
        confined = asked.plan.layout.device_kind == "cpu"
        result, end = try_out(
            recipe,
            asked=ProbeOrder(steps=self._steps, limit_bytes=asked.limit if confined else None),
            directory=directory,
            wake=wake,
            around=self._around,
            measured=False,
            clock=self._clock,
        )
        self._learn(recipe, end)
        if problem := self._failure(end, result):
            raise HandoffError(located([problem], recipe))
        return _judged(end, result, limit=asked.limit)

    def _failure(self, end: TrialEnd, result: RunPlan) -> Problem | None:
        """What ended a trial, other than memory."""
        micro = result.batch.micro_batch_size
        if end.out_of_memory is not None:
            return None
        if end.exit:
            return Problem(
                code="probe-failed",
                path="launch.script",
                message=f"the job with micro-batch {micro} failed, and not for want of memory: {end.message}",
                because=end.context,
                hint="mend the script; batchwright run shows the whole of its output",
            )
        done = min((record["steps"] for record in end.records.values()), default=0)
        if len(end.records) < result.layout.world_size or done < self._steps:
            return Problem(
                code="probe-no-steps",
                path="launch.script",
                message=f"the job with micro-batch {micro} ended after {counted(done, 'optimizer step')}; "
                f"expected {self._steps} on each of {result.layout.world_size} ranks",
                hint="the script has to train that long, with an optimizer of torch or DeepSpeed",
            )
        return None

    def _learn(self, recipe: Recipe, end: TrialEnd) -> None:
        """Which code and which libraries ran."""
        work = work_folder(recipe).resolve()
        script = recipe.launch.script
        paths = [Path(name) for record in end.records.values() for name in record["files"]]
        names = {path.relative_to(work).as_posix() for path in paths if path.is_relative_to(work)}
        self._code |= code_hashes(sorted({*names, *([script] if script else [])}), directory=work)
        for record in end.records.values():
            self._versions |= record["versions"]

    def _keep(self, asked: _Asked, trials: Sequence[Trial], *, largest: int | None) -> ProbeResult:
        result = asked.plan
        setting = probe_setting(
            recipe=asked.recipe, layout=result.layout, model=result.model, precision=result.precision
        )
        measurement = Measurement(
            made=time_stamp(self._clock()),
            setting=json.loads(json.dumps(setting)),
            code=dict(sorted(self._code.items())),
            limit_bytes=asked.limit,
            limit_is_given=self._limit is not None,
            steps=self._steps,
            versions=dict(sorted(self._versions.items())),
            trials=tuple(trials),
        )
        file = probe_folder(asked.recipe) / f"{measurement_key(measurement)}.json"
        keep(file, to_plain(measurement))
        return ProbeResult(
            measurement=measurement,
            max_micro_batch_size=largest,
            gradient_accumulation_steps=None if largest is None else asked.sequences // largest,
            file=str(file),
        )


def _judged(end: TrialEnd, result: RunPlan, *, limit: int) -> Trial:
    """One rank out of memory is all ranks out of memory; else the rank that took most counts."""
    peaks = tuple(
        RankPeak(
            rank=rank,
            host=record["host"],
            peak_bytes=record["peak_bytes"],
            allocated_bytes=record.get("allocated_bytes"),
            reserved_bytes=record.get("reserved_bytes"),
        )
        for rank, record in end.records.items()
    )
    trial = Trial(
        micro_batch_size=result.batch.micro_batch_size,
        gradient_accumulation_steps=result.batch.gradient_accumulation_steps,
        outcome="out-of-memory" if end.out_of_memory is not None else "fits",
        peaks=peaks,
        predicted_bytes=None if result.memory is None else result.memory.peak_bytes,
        seconds=round(end.seconds, 3),
        words=end.out_of_memory or "",
    )
    peak = trial.peak_bytes
    return replace(trial, outcome="over-limit") if peak is not None and peak > limit else trial


def _no_limit(result: RunPlan) -> Problem:
    return Problem(
        code="probe-needs-limit",
        path="cluster",
        message=f"how much memory a process may take on {result.layout.device} is not known",
        hint="batchwright probe --limit '4 GiB', or write cluster.host_memory",
    )
