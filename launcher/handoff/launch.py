"""One run from plan to last line: checked, written down, started, listened to, ended and summed up."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TextIO

from launcher.errors import HandoffError
from launcher.handoff.checks import check_launch
from launcher.handoff.job import Ending, run_job
from launcher.handoff.order import Order, job_commands, placed_bundle
from launcher.handoff.outcome import RankEnd, exit_code, first_failure, log_tail, rank_ends
from launcher.handoff.papers import run_papers
from launcher.handoff.run_folder import create_named_folder, create_run_folder, run_name
from launcher.handoff.signals import signals_as_bytes
from launcher.handoff.status import State, time_stamp, write_status
from launcher.handoff.streams import copied_to_log
from launcher.reporting.run_log import StepLine, read_log
from launcher.reporting.run_text import closing_line, error_context, header_lines, show_duration
from launcher.spec.bundle import LaunchBundle

__all__ = ["check_order", "launch"]

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Run:
    """A run that has a folder."""

    order: Order
    directory: Path
    started: float
    ended: float = 0.0
    state: State = "running"
    exit: int | None = None
    failure: RankEnd | None = None
    message: str = ""


def check_order(order: Order) -> None:
    """Raises HandoffError with everything that would keep the job from starting here."""
    problems = check_launch(
        plan=order.plan, executables=order.executables, environ=order.environ, beside=order.beside
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
        run = _Run(order=order, directory=where, started=started)
        for line in header_lines(plan=order.plan, directory=_shown(run.directory)):
            say(line)
        _write(run)
        with copied_to_log(log=run.directory / "logs" / "launch.log", stdout=stdout, stderr=stderr) as output:
            try:
                ending = run_job(
                    commands=job_commands(order, placed),
                    run=str(run.directory),
                    wake=wake,
                    grace_seconds=order.plan.launch.grace_seconds,
                    output=output,
                    say=say,
                )
            except BaseException as error:
                refused = isinstance(error, HandoffError)
                message = str(error) if refused else "batchwright itself failed"
                _write(
                    replace(run, ended=clock(), state="failed", exit=78 if refused else 3, message=message)
                )
                raise
        run = _ended(run, ending, now=clock())
        _write(run)
    _sum_up(run, ending, say)
    assert run.exit is not None
    return run.exit


def _folder(order: Order, directory: Path | None, now: float) -> tuple[Path, LaunchBundle]:
    """A folder of this run's own, and the bundle as it lies there."""
    placed: dict[Path, LaunchBundle] = {}

    def files(target: Path) -> dict[str, str]:
        placed[target] = placed_bundle(order.bundle, str(target))
        return run_papers(order, placed[target])

    if directory is not None:
        where = create_named_folder(target=directory.absolute(), files=files)
    else:
        stamp = time.strftime("%Y%m%d-%H%M%S", time.localtime(now))
        name = run_name(recipe_name=order.plan.recipe_name, plan_hash=order.plan.plan_hash, stamp=stamp)
        where = create_run_folder(parent=Path("runs").absolute(), name=name, files=files)
    return where, placed[where]


def _write(run: _Run) -> None:
    plan = run.order.plan
    failed = run.failure
    facts: dict[str, Any] = {
        "exit": run.exit,
        "failed_rank": failed.rank if failed else None,
        "failed_host": failed.host if failed else None,
        "message": run.message,
        "started": time_stamp(run.started),
        "ended": time_stamp(run.ended) if run.exit is not None else None,
        "recipe_name": plan.recipe_name,
        "plan_hash": plan.plan_hash,
        "semantics_hash": plan.semantics_hash,
        "engine": plan.launch.engine,
        "world_size": plan.layout.world_size,
        "host": os.uname().nodename,
        "pid": os.getpid(),
    }
    write_status(run.directory, state=run.state, facts=facts)


def _ended(run: _Run, ending: Ending, *, now: float) -> _Run:
    """The run with what its records say of its end."""
    failure = None
    if ending.interrupted_by is None:
        failure = first_failure(
            ends=rank_ends(run.directory),
            log=log_tail(run.directory / "logs" / "launch.log") if ending.returncode else "",
            world_size=run.order.plan.layout.world_size,
            host=os.uname().nodename,
        )
    code = exit_code(returncode=ending.returncode, failure=failure, interrupted_by=ending.interrupted_by)
    state: State = "interrupted" if ending.interrupted_by else "failed" if code else "done"
    return replace(
        run, ended=now, state=state, exit=code, failure=failure, message=_message(run, ending, failure, code)
    )


def _message(run: _Run, ending: Ending, failure: RankEnd | None, code: int) -> str:
    """One line about a run that did not end well; empty for one that did."""
    if ending.interrupted_by is not None:
        return f"interrupted by signal {ending.interrupted_by}"
    if failure is not None:
        words = failure.error.strip().splitlines()
        what = f": {words[-1] if 'Traceback' in words[0] else words[0]}" if words else ""
        return f"rank {failure.rank} on {failure.host} ended with exit code {failure.exit}{what}"
    if code:
        return f"{run.order.plan.launch.engine} ended with exit code {code}, and no rank left word of why"
    return ""


def _sum_up(run: _Run, ending: Ending, say: Say) -> None:
    """The last lines: what became of it, where it is, and the curves."""
    steps = read_log(run.directory)
    seconds = run.ended - run.started
    shown = _shown(run.directory)
    for process in ending.left_behind:
        say(f"note    `{process.name}` (process {process.pid}) outlived the job and was ended")
    if run.state == "done":
        say(closing_line(state="done", steps=steps, seconds=seconds, directory=shown))
    elif run.state == "interrupted":
        say(closing_line(state="ended", steps=steps, seconds=seconds, directory=shown))
        say("        interrupted; nothing of the job is left running")
    else:
        say(f"failed  {run.message} (after {show_duration(seconds)})")
        error = run.failure.error if run.failure else ""
        for line in error_context(log=log_tail(run.directory / "logs" / "launch.log"), error=error):
            say(f"        | {line}")
        say(f"        log: {shown}/logs/launch.log")
    if steps:
        say(f"curves  {_drawn(run, steps) or f'{shown}/curves.png'}")


def _drawn(run: _Run, steps: Sequence[StepLine]) -> str:
    """Draws the curves; why not, when it cannot. A picture never changes how a job ended."""
    from launcher.reporting.curves import draw_curves

    try:
        drawn = draw_curves(steps=steps, plan=run.order.plan, target=run.directory / "curves.png")
    except KeyboardInterrupt:
        return "not drawn: interrupted"
    except Exception as error:  # noqa: BLE001 - whatever a plotting library raises on this machine
        return f"not drawn: {type(error).__name__}: {error}"
    return "" if drawn else "not drawn: matplotlib is not installed (pip install 'batchwright[train]')"


def _shown(path: Path) -> str:
    try:
        return str(path.relative_to(Path.cwd()))
    except ValueError:
        return str(path)
