"""A run in parts, one job after the other: each goes on from the checkpoint that the one before has left."""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from launcher.api import plan
from launcher.cli.ordering import located, make_order
from launcher.cli.stage_option import next_command, refuse_without_resume
from launcher.cli.surroundings import Surroundings
from launcher.errors import HandoffError, Problem
from launcher.handoff.afterwards.left_checkpoint import left_checkpoint, no_checkpoint
from launcher.handoff.dry_run import dry_run_lines
from launcher.handoff.launch import check_order
from launcher.handoff.run_folder import run_name
from launcher.planning.stages.restarting import Part, part_of, parts_of
from launcher.planning.stages.resuming import from_checkpoint

if TYPE_CHECKING:
    from launcher.handoff.order import Order
    from launcher.spec.recipe import Recipe

__all__ = ["Start", "run_part", "run_parts"]

Start = Callable[["Recipe", "Order", Path, bool], int]
"""Starts one job in its folder, and returns its exit code; the last word is whether a part went before it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Job:
    """One part: its recipe without a checkpoint, and where it runs."""

    part: Part
    recipe: Recipe
    order: Order
    directory: Path


def run_parts(
    arguments: argparse.Namespace,
    recipe: Recipe,
    around: Surroundings,
    *,
    start: Start,
    check: Callable[[Order], None],
) -> int:
    """The exit code of the part that failed, else 0. Raises LauncherError where nothing was started.

    check: what a plan has to pass before its job is started. Every part is planned, rendered and checked before the
    first one starts.
    """
    jobs = _jobs(arguments, recipe, around)
    for order in _saying_once(job.order for job in jobs):
        check(order)
    if arguments.dry_run:
        for job in jobs:
            around.say("\n".join([_heading(job, jobs), *dry_run_lines(job.order, job.directory), ""]))
        return 0
    checkpoint: str | None = None
    before: Path | None = None
    for job in jobs:
        around.tell(_heading(job, jobs))
        narrowed = job.recipe if checkpoint is None else from_checkpoint(job.recipe, checkpoint=checkpoint)
        order = job.order if checkpoint is None else make_order(narrowed, around)
        began = time.time()
        code = start(narrowed, order, job.directory, job is not jobs[0])
        checkpoint = left_checkpoint(job.directory, plan=order.plan, started=began)
        if code != 0:
            _tell_of_the_end(arguments, job, jobs, job.directory if checkpoint else before, around)
            return code
        if checkpoint is None and job is not jobs[-1]:
            around.tell(str(no_checkpoint(order.plan, what=f"part {job.part.number} of {len(jobs)}")))
            return 1
        before = job.directory
    return 0


def run_part(
    arguments: argparse.Namespace, recipe: Recipe, order: Order, around: Surroundings, *, start: Start
) -> int:
    """One part alone, and the command that goes on behind it."""
    assert recipe.part is not None
    part, directory = recipe.part, _folder(arguments, order)
    code = start(recipe, order, directory, False)
    if code == 0 and part.number < part.count:
        command = next_command(arguments, stage=part.last_stage + 1, run=_shown(directory))
        around.tell(f"next    {command}")
    return code


def _jobs(arguments: argparse.Namespace, recipe: Recipe, around: Surroundings) -> list[_Job]:
    """All parts that the run reaches, in their order. Raises LauncherError where one of them could not be started."""
    refuse_without_resume(recipe, why="stages need a restart on the way")
    stages = plan(recipe, environ=around.environ).stages or ()
    parts = [part for part in parts_of(recipe) if part.first_stage <= len(stages)]
    jobs: list[_Job] = []
    for part in parts:
        narrowed = part_of(recipe, stage=part.first_stage)
        planned = from_checkpoint(narrowed, checkpoint="{latest_checkpoint}") if jobs else narrowed
        order = make_order(planned, around)
        _refuse_what_is_left_alone(arguments, order, recipe)
        _refuse_another_meaning(jobs, order, part, recipe)
        first = jobs[0].directory if jobs else _folder(arguments, order)
        directory = first.with_name(f"{first.name}-part{part.number}") if jobs else first
        jobs.append(_Job(part=part, recipe=narrowed, order=order, directory=directory))
    for job in jobs:
        check_order(job.order)
    return jobs


def _saying_once(orders: Iterable[Order]) -> Iterator[Order]:
    """The orders, each with those warnings that none before it has."""
    said: set[str] = set()
    for order in orders:
        problems = order.plan.problems
        new = tuple(each for each in problems if each.severity != "warning" or str(each) not in said)
        said |= {str(each) for each in problems}
        yield replace(order, plan=replace(order.plan, problems=new))


def _refuse_what_is_left_alone(arguments: argparse.Namespace, order: Order, recipe: Recipe) -> None:
    """The next part begins when the one before has ended, and somebody has to be there for it."""
    if order.bundle.attached and not arguments.detach:
        return
    how = "`--detach`" if arguments.detach else f"`launch.executor: {order.plan.launch.executor}`"
    problem = Problem(
        code="executor-cannot",
        path="launch.executor",
        message=f"{how} hands the job over and returns, and the next part of this run starts when it has ended",
        hint="start each part on its own: --stage 1, then the others with --stage N --resume RUN",
    )
    raise HandoffError(located([problem], recipe))


def _refuse_another_meaning(jobs: list[_Job], order: Order, part: Part, recipe: Recipe) -> None:
    """A default may follow the machines: a part on a CPU computes in fp32 where nothing is written."""
    if not jobs or jobs[0].order.plan.semantics_hash == order.plan.semantics_hash:
        return
    first, here = jobs[0].order.plan, order.plan
    because = f"precision {first.precision.compute} in stage 1, {here.precision.compute} in stage {part.first_stage}"
    problem = Problem(
        code="stage-changes-the-training",
        path=f"stages.{part.first_stage - 1}",
        message=f"stage {part.first_stage} would be another training than stage 1: their semantics hashes differ",
        because=(because,) if first.precision != here.precision else (),
        hint="write precision for the whole run",
    )
    raise HandoffError(located([problem], recipe))


def _tell_of_the_end(
    arguments: argparse.Namespace, job: _Job, jobs: list[_Job], left: Path | None, around: Surroundings
) -> None:
    done = job.part.number - 1
    around.tell(f"parts   {done} of {len(jobs)} done, part {job.part.number} was not")
    run = None if left is None else _shown(left)
    around.tell(f"next    {next_command(arguments, stage=job.part.first_stage, run=run)}")


def _heading(job: _Job, jobs: list[_Job]) -> str:
    """`part    2 of 3: stage 2, steps 11 to 20, 2 processes`."""
    part, planned = job.part, job.order.plan.part
    alone = part.first_stage == part.last_stage
    which = f"stage {part.first_stage}" if alone else f"stages {part.first_stage} to {part.last_stage}"
    first, last = (1, None) if planned is None else (planned.first_step, planned.last_step)
    steps = f"steps {first:,} on" if last is None else f"steps {first:,} to {last:,}"
    changed = f"; other {', '.join(part.changed)}" if part.changed else ""
    return f"part    {part.number} of {len(jobs)}: {which}, {steps}{changed}"


def _folder(arguments: argparse.Namespace, order: Order) -> Path:
    if arguments.run_dir:
        return Path(arguments.run_dir).absolute()
    stamp = time.strftime("%Y%m%d-%H%M%S", time.localtime())
    result = order.plan
    return Path(
        "runs", run_name(recipe_name=result.recipe_name, plan_hash=result.plan_hash, stamp=stamp)
    ).absolute()


def _shown(directory: Path) -> str:
    try:
        return str(directory.relative_to(Path.cwd()))
    except ValueError:
        return str(directory)
