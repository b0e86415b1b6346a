"""One run from plan to last line: checked, written down, started, listened to, ended and summed up."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TextIO

from launcher.errors import HandoffError
from launcher.handoff.checks import check_launch
from launcher.handoff.closing import Run, ended_run, record_run, sum_up
from launcher.handoff.guard.guarding import local_guard
from launcher.handoff.order import Order
from launcher.handoff.run_folder import create_named_folder, create_run_folder, run_name
from launcher.handoff.running.signals import signals_as_bytes
from launcher.handoff.running.streams import copied_to_log
from launcher.handoff.starting import job_papers, start_job
from launcher.reporting.run_text import header_lines
from launcher.spec.bundle import LaunchBundle

__all__ = ["check_order", "launch"]

Say = Callable[[str], None]


def check_order(order: Order) -> None:
    """Raises HandoffError with everything that would keep the job from starting here."""
    problems = check_launch(
        plan=order.plan,
        executables=order.executables,
        environ=order.environ,
        beside=order.beside,
        elsewhere=bool(order.bundle.nodes),
    )
    if problems:
        raise HandoffError(problems)


def launch(
    order: Order,
    *,
    directory: Path | None,
    stdout: TextIO,
    stderr: TextIO,
    clock: Callable[[], float] = time.time,
) -> int:
    """Runs a job to its end and returns its exit code. Main thread only (signals).

    directory: the run folder; a new one under ./runs when None. stdout, stderr: where the job's own output goes;
    what we have to say goes to stderr. Raises HandoffError when nothing was started.
    """
    check_order(order)

    def say(line: str) -> None:
        print(line, file=stderr, flush=True)

    with signals_as_bytes() as wake:
        started = clock()
        where, placed = _folder(order, directory, started)
        run = Run(order=order, placed=placed, directory=where, started=started)
        for line in header_lines(plan=order.plan, directory=run.shown):
            say(line)
        record_run(run)
        with copied_to_log(log=where / "logs" / "launch.log", stdout=stdout, stderr=stderr) as output:
            try:
                guard = local_guard(order.plan, folder=where, shown=run.shown, say=say)
                ending = start_job(
                    order, placed, directory=where, wake=wake, output=output, say=say, attendants=[guard]
                )
            except BaseException as error:
                refused = isinstance(error, HandoffError)
                message = str(error) if refused else "batchwright itself failed"
                record_run(
                    replace(run, ended=clock(), state="failed", exit=78 if refused else 3, message=message)
                )
                raise
        run = ended_run(run, ending, now=clock(), guard=guard.guard)
        record_run(run)
    sum_up(run, ending, say)
    return run.exit or 0


def _folder(order: Order, directory: Path | None, now: float) -> tuple[Path, LaunchBundle]:
    """A folder of this run's own, and the bundle as it lies there."""
    placed: dict[Path, LaunchBundle] = {}

    def files(target: Path) -> dict[str, str]:
        placed[target], papers = job_papers(order, target)
        return papers

    if directory is not None:
        where = create_named_folder(target=directory.absolute(), files=files)
    else:
        stamp = time.strftime("%Y%m%d-%H%M%S", time.localtime(now))
        name = run_name(recipe_name=order.plan.recipe_name, plan_hash=order.plan.plan_hash, stamp=stamp)
        where = create_run_folder(parent=Path("runs").absolute(), name=name, files=files)
    return where, placed[where]
