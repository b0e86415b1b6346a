"""What `probe`, `rehearse` and `selftest` share: one changed recipe, run as a trial, with problems where they stand."""

from __future__ import annotations

import json
import shutil
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from launcher.cli.ordering import located, make_order
from launcher.cli.surroundings import Surroundings
from launcher.errors import HandoffError, Problem
from launcher.handoff.launch import check_order
from launcher.handoff.run_folder import plain_name
from launcher.handoff.trials.trial import TrialEnd, run_trial
from launcher.planning.stages.restarting import BY_RESTART

if TYPE_CHECKING:
    from batchwright_witness.probing import ProbeOrder
    from launcher.spec.plan import RunPlan, StagePlan
    from launcher.spec.recipe import Recipe

__all__ = ["Interrupted", "Scratch", "largest_stage", "once", "one_batch", "show_found", "try_out"]


class Interrupted(Exception):  # noqa: N818 - somebody's wish
    """A signal asked the trials to end; `number` is the signal's."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


class Found(Protocol):
    """What trials found."""

    def to_dict(self) -> dict[str, Any]:
        """For programs."""


F = TypeVar("F", bound=Found)


def show_found(
    find: Callable[[], F], text: Callable[[F], Sequence[str]], *, as_json: bool, around: Surroundings
) -> F:
    """What the trials found, printed as JSON or as text; leaves with the signal's code where one ended them."""
    try:
        found = find()
    except Interrupted as interrupted:
        around.tell("interrupted; nothing of the job is left running, nothing was kept")
        raise SystemExit(128 + interrupted.number) from None
    around.say(json.dumps(found.to_dict(), indent=1) if as_json else "\n".join(text(found)))
    return found


class Scratch:
    """A folder beside the runs, where every node of a cluster finds it; removed with all that is in it."""

    def __init__(self, what: str, name: str, *, now: float) -> None:
        self._parent = Path("runs").absolute()
        self._ours = not self._parent.exists()
        self._parent.mkdir(parents=True, exist_ok=True)
        stamp = time.strftime("%Y%m%d-%H%M%S", time.localtime(now))
        prefix = f"{what}-{plain_name(name)}-{stamp}-"
        self.folder = Path(tempfile.mkdtemp(prefix=prefix, dir=self._parent))
        self.keep = False

    def close(self) -> None:
        """Removes it, unless it is to be kept."""
        if not self.keep:
            shutil.rmtree(self.folder, ignore_errors=True)
        if self._ours and not any(self._parent.iterdir()):
            self._parent.rmdir()


def once(recipe: Recipe) -> tuple[str, ...]:
    """Overrides by which a scheduler starts a trial once, however often it is to start the run."""
    slurm = recipe.launch.slurm
    if slurm is None:
        return ()
    again = {"launch.slurm.array=1": slurm.array > 1, "launch.slurm.requeue=false": slurm.requeue}
    return tuple(change for change, needed in again.items() if needed)


def one_batch(recipe: Recipe) -> tuple[str, ...]:
    """Overrides by which a trial of one split trains the batch at the top of the recipe, and no stage's."""
    return ("stages=[]",) if recipe.stages else ()


def largest_stage(recipe: Recipe, result: RunPlan) -> tuple[int, tuple[str, ...]] | None:
    """Number of the stage that needs most memory, from 1, and the overrides by which it is trained alone."""
    if not result.stages:
        return None
    alike = [
        (number, stage)
        for number, (written, stage) in enumerate(zip(recipe.stages, result.stages, strict=False), start=1)
        if all(
            getattr(written, name) is None for name in BY_RESTART
        )  # else on machines and layouts of its own
    ]
    if not alike:
        return None
    number, stage = max(alike, key=lambda each: _size(each[1]))
    batch = stage.batch
    changes = [
        *one_batch(recipe),
        f"global_batch_size={batch.global_batch_size}",
        f"micro_batch_size={batch.micro_batch_size}",
        f"gradient_accumulation_steps={batch.gradient_accumulation_steps}",
    ]
    if recipe.global_batch_tokens is not None:
        changes.append("global_batch_tokens=null")
    if isinstance(batch.sequence_length, int) and batch.sequence_length != result.batch.sequence_length:
        changes.append(f"sequence_length={batch.sequence_length}")
    return number, tuple(changes)


def _size(stage: StagePlan) -> tuple[int, int]:
    """Bytes of a rank where they are known, and tokens of a micro-batch."""
    batch = stage.batch
    return stage.memory.high_bytes if stage.memory else 0, batch.micro_batch_size * (
        batch.sequence_length or 1
    )


def try_out(
    recipe: Recipe,
    *,
    asked: ProbeOrder,
    directory: Path,
    wake: int,
    around: Surroundings,
    measured: bool = True,
    clock: Callable[[], float] = time.time,
) -> tuple[RunPlan, TrialEnd]:
    """The plan of a trial, and how it ended. Raises HandoffError where nothing was started, Interrupted.

    directory: its run folder, which does not exist yet. measured: whether what a probe found counts in the plan.
    """
    order = make_order(recipe, around, measured=measured)
    if not order.bundle.attached:
        raise HandoffError(located([_out_of_reach(order.plan)], recipe))
    try:
        check_order(order)
        end = run_trial(order, directory=directory, asked=asked, wake=wake, say=around.tell, clock=clock)
    except HandoffError as error:
        raise HandoffError(located(error.problems, recipe)) from None
    if end.interrupted_by is not None:
        raise Interrupted(end.interrupted_by)
    return order.plan, end


def _out_of_reach(result: RunPlan) -> Problem:
    """A job that is handed over has to be waited for, for as long as a queue takes."""
    return Problem(
        code="not-yet-supported",
        path="launch.executor",
        message=f"a trial needs its job's end, and `{result.launch.executor}` hands the job over and returns",
        hint="try it inside an allocation, or on one machine with --set launch.executor=local",
    )
