"""How a run ended: what its status file says of it, and the last lines a person reads."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from launcher.handoff.guard.guarding import Guard
from launcher.handoff.host_ends import job_end
from launcher.handoff.order import Order
from launcher.handoff.outcome import RankEnd, exit_code, first_failure, log_tail, rank_ends
from launcher.handoff.running.job import Ending
from launcher.handoff.running.signals import ENDING
from launcher.handoff.status import State, time_stamp, write_status
from launcher.reporting.run_log import StepLine, read_log, read_remarks
from launcher.reporting.run_text import closing_line, error_context, show_duration
from launcher.reporting.stability_text import stability_line
from launcher.spec.bundle import LaunchBundle

__all__ = ["Run", "ended_run", "record_run", "sum_up"]

_REFUSED = 78


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """A run that has a folder."""

    order: Order
    placed: LaunchBundle
    """The bundle as it lies in the folder."""
    directory: Path
    started: float
    ended: float = 0.0
    state: State = "running"
    exit: int | None = None
    failure: RankEnd | None = None
    failed_host: str | None = None
    """Host that brought the end about, where no rank of it is to be named."""
    message: str = ""
    context: tuple[str, ...] | None = None
    """Lines below the message of a failure; None: those of the log that lead up to it."""

    @property
    def shown(self) -> str:
        """The folder as a person would type it here."""
        try:
            return str(self.directory.relative_to(Path.cwd()))
        except ValueError:
            return str(self.directory)


def record_run(run: Run) -> None:
    """Writes status.json."""
    plan = run.order.plan
    failed = run.failure
    facts: dict[str, Any] = {
        "exit": run.exit,
        "failed_rank": failed.rank if failed else None,
        "failed_host": failed.host if failed else run.failed_host,
        "message": run.message,
        "started": time_stamp(run.started),
        "ended": time_stamp(run.ended) if run.exit is not None else None,
        "recipe_name": plan.recipe_name,
        "plan_hash": plan.plan_hash,
        "semantics_hash": plan.semantics_hash,
        "engine": plan.launch.engine,
        "executor": plan.launch.executor,
        "hosts": list(run.placed.hosts),
        "world_size": plan.layout.world_size,
        "host": os.uname().nodename,
        "pid": os.getpid(),
    }
    write_status(run.directory, state=run.state, facts=facts)


def ended_run(run: Run, ending: Ending, *, now: float, guard: Guard | None = None) -> Run:
    """The run with what its records say of its end; a job that was only handed over has not ended.

    guard: its reason to end the job comes before whatever the ranks made of that.
    """
    failure: RankEnd | None = None
    if guard is not None and guard.reason is not None and ending.interrupted_by is None:
        if (late := guard.late) is not None:
            failure = RankEnd(rank=late.rank, host=late.host, exit=1, error="", time=now)
        return replace(
            run,
            ended=now,
            state="failed",
            exit=1,
            failure=failure,
            message=guard.reason,
            context=guard.context,
        )
    if not run.placed.attached and ending.returncode == 0 and ending.interrupted_by is None:
        return replace(run, ended=now, state="submitted")
    if run.placed.nodes and ending.interrupted_by is None:
        return _ended_elsewhere(run, ending, now=now)
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


def _ended_elsewhere(run: Run, ending: Ending, *, now: float) -> Run:
    end = job_end(
        run.directory,
        hosts=run.placed.hosts,
        num_nodes=run.order.plan.layout.num_nodes,
        returncode=ending.returncode,
        program=run.placed.commands[0].argv[0],
        log=run.placed.log,
    )
    state: State = "failed" if end.exit else "done"
    if end.exit - 128 in ENDING:
        state = "interrupted"
    return replace(
        run,
        ended=now,
        state=state,
        exit=end.exit,
        failure=end.failure,
        failed_host=end.host,
        message=end.message,
        context=() if end.exit == _REFUSED and end.host is not None else None,
    )


def _message(run: Run, ending: Ending, failure: RankEnd | None, code: int) -> str:
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


def sum_up(run: Run, ending: Ending, say: Callable[[str], None]) -> None:
    """The last lines: what became of it, where it is, and the curves."""
    if run.state == "submitted":
        say(f"submitted; it goes on without us   {run.shown}")
        say(f"        batchwright status {run.shown}")
        return
    steps = read_log(run.directory)
    seconds = run.ended - run.started
    for process in ending.left_behind:
        say(f"note    `{process.name}` (process {process.pid}) outlived the job and was ended")
    if run.state == "done":
        say(closing_line(state="done", steps=steps, seconds=seconds, directory=run.shown))
    elif run.state == "interrupted":
        say(closing_line(state="ended", steps=steps, seconds=seconds, directory=run.shown))
        say(f"        interrupted{'; nothing of the job is left running' if ending.answered else ''}")
    else:
        _say_failure(run, seconds, say)
    if health := stability_line(steps=steps, remarks=read_remarks(run.directory)):
        say(health)
    if steps:
        say(f"curves  {_drawn(run, steps) or f'{run.shown}/curves.png'}")


def _say_failure(run: Run, seconds: float, say: Callable[[str], None]) -> None:
    first, *more = run.message.splitlines() or ["nobody left word of why"]
    what = "refused nothing was started:" if run.exit == _REFUSED else "failed "
    say(f"{what} {first} (after {show_duration(seconds)})")
    for line in more:
        say(f"        {line}")
    for line in _context(run) if run.context is None else run.context:
        say(f"        | {line}")
    say(f"        log: {run.shown}/logs/launch.log")


def _context(run: Run) -> tuple[str, ...]:
    """The end of what the failing rank printed; of the whole job where another rank has its words, or it has no log."""
    logs, failed = run.directory / "logs", run.failure
    error = failed.error if failed else ""
    own = log_tail(logs / f"rank-{failed.rank}.log") if failed else ""
    # what our own programs and pdsh say has been said above
    ours = ("batchwright: ", "pdsh@") if run.placed.nodes else ()
    lines = log_tail(logs / "launch.log").splitlines()
    lines = [line for line in lines if not any(word in line for word in ours)]
    first = error.strip().partition("\n")[0]
    elsewhere = first and first not in own and any(line.endswith(first) for line in lines)
    if own.strip() and not elsewhere:
        return error_context(log=own, error=error)
    if run.placed.nodes and run.failed_host is not None and not elsewhere:
        lines = [line for line in lines if line.startswith(f"{run.failed_host}: ")]
    return error_context(log="\n".join(lines), error=error)


def _drawn(run: Run, steps: Sequence[StepLine]) -> str:
    """Draws the curves; why not, when it cannot. A picture never changes how a job ended."""
    from launcher.reporting.curves import draw_curves

    try:
        drawn = draw_curves(steps=steps, plan=run.order.plan, target=run.directory / "curves.png")
    except KeyboardInterrupt:
        return "not drawn: interrupted"
    except Exception as error:  # noqa: BLE001 - whatever a plotting library raises on this machine
        return f"not drawn: {type(error).__name__}: {error}"
    return "" if drawn else "not drawn: matplotlib is not installed (pip install 'batchwright[train]')"
