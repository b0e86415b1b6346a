"""What a scheduler says of the job before it is handed over: nothing is submitted, nothing is started."""

from __future__ import annotations

import re
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

from launcher.errors import HandoffError, Problem
from launcher.handoff.doctor.comparing import Compared
from launcher.handoff.order import Order
from launcher.handoff.running.executables import find_executable
from launcher.handoff.starting import job_papers
from launcher.spec.checkup import Cell, Row

__all__ = ["ask_scheduler", "refuses"]

_ASKING = {
    # sbatch@22.05 --test-only: validates, and says when and where it would start
    "sbatch": ("--test-only",),
    # everything but the storing: admission, quota, permissions
    "kubectl": ("--dry-run=server", "--request-timeout=10s"),
}
_LEFT_OUT = ("--wait",)
_WHEN = re.compile(r"to start at (\S+) using .* on nodes (\S+)")
_HINTS = {
    "sbatch": "correct launch.slurm (partition, account, constraint, time): `sinfo` lists what there is",
    "kubectl": "`kubectl config current-context` names the cluster; `kubectl auth can-i create jobs` what you may",
}


def ask_scheduler(order: Order, *, seconds: float) -> Compared:
    """One row: taken or not, in the scheduler's words."""
    program = order.bundle.commands[0].argv[0]
    if program not in _ASKING:
        words = f"`{order.plan.launch.executor}` starts the job by itself: its hosts are asked when they meet"
        return Compared(rows=(), problems=(), notes=(words,))
    found = find_executable(program, environ=order.environ, beside=order.beside, directory="/")
    if found is None:
        raise HandoffError([_not_here(program)])
    code, said = _tried(order, str(found), seconds)
    row, problems = _judged(program, code, said)
    where = "inside an allocation (salloc) doctor asks every one of them" if program == "sbatch" else ""
    note = "the hosts are examined when they meet in the job" + (f"; {where}" if where else "")
    return Compared(rows=(row,), problems=problems, notes=(note,))


def _tried(order: Order, program: str, seconds: float) -> tuple[int | None, list[str]]:
    """Exit code, None when it took too long, and the lines it said."""
    with tempfile.TemporaryDirectory(prefix="batchwright-doctor-") as folder:
        placed, papers = job_papers(order, Path(folder))
        for name, text in papers.items():
            path = Path(folder, name)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, errors="surrogateescape")
        first, *words = (word for word in placed.commands[0].argv if word not in _LEFT_OUT)
        at = 1 if first == "kubectl" else 0
        workdir = order.plan.launch.workdir
        argv = [program, *words[:at], *_ASKING[first], *words[at:]]
        try:
            ran = subprocess.run(
                argv,
                cwd=workdir if Path(workdir).is_dir() else None,  # it may be a folder of an image
                env={**order.environ, **placed.commands[0].env},
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                errors="replace",
                timeout=seconds,
                check=False,
            )
        except subprocess.TimeoutExpired:
            return None, [f"no answer within {seconds:g} s"]
    return ran.returncode, [line for line in (ran.stdout + ran.stderr).splitlines() if line.strip()]


def _judged(program: str, code: int | None, said: Sequence[str]) -> tuple[Row, tuple[Problem, ...]]:
    if code == 0:
        when = _WHEN.search("\n".join(said))
        shown = f"would start {when[1]} on {when[2]}" if when else "would take it"
        return Row(name=program, cells=(Cell(found=shown),)), ()
    problem = refuses(program, said)
    return Row(name=program, cells=(Cell(found="refuses", state="bad"),)), (problem,)


def refuses(program: str, said: Sequence[str]) -> Problem:
    """The scheduler's own words."""
    lines = [line.strip().removeprefix(f"{program}: ") for line in said] or ["it gave no reason"]
    executor = {"kubectl": "kubernetes"}.get(program, "slurm")
    return Problem(
        code="scheduler-refuses",
        path="launch.executor",
        message=f"`launch.executor: {executor}`: {program} would not take the job: {lines[-1]}",
        because=tuple(lines[:-1][-4:]),
        hint=_HINTS.get(program, _HINTS["sbatch"]),
    )


def _not_here(program: str) -> Problem:
    return Problem(
        code="executable-not-found",
        path="launch.executor",
        message=f"`{program}` is neither beside our own interpreter nor on PATH",
        hint=f"ask on a machine that has {program}",
    )
