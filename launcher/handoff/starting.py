"""A job in a run folder: what the folder holds before it starts, and the job itself. Runs and trials start here."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from launcher.handoff.launch_papers import launch_papers, remove_secrets
from launcher.handoff.order import Order, job_commands, placed_bundle, stop_commands
from launcher.handoff.papers import run_papers
from launcher.handoff.run_folder import create_named_folder
from launcher.handoff.running.attending import Attendant, Deadline
from launcher.handoff.running.job import Ending, run_job
from launcher.handoff.running.last_word import LastWord
from launcher.handoff.spreading import on_every_host
from launcher.spec.bundle import LaunchBundle

__all__ = ["job_papers", "start_job", "start_quietly"]


def job_papers(order: Order, directory: Path) -> tuple[LaunchBundle, dict[str, str]]:
    """The bundle as it lies in a folder, and everything that the folder holds when the job starts, by name."""
    placed = placed_bundle(order.bundle, str(directory), python=order.python)
    return placed, {**run_papers(order, placed), **launch_papers(order, placed)}


def start_job(
    order: Order,
    placed: LaunchBundle,
    *,
    directory: Path,
    wake: int,
    output: Callable[[int, bytes], None],
    say: Callable[[str], None],
    attendants: Sequence[Attendant] = (),
    limit_seconds: float | None = None,
) -> Ending:
    """Runs the job to its end; what the nodes were handed in secret is gone afterwards, whatever happens.

    Hosts that do not share the folder have a copy of it meanwhile.
    attendants: look after the ranks where they are on this machine; elsewhere each node has its own.
    limit_seconds: after which the job is asked to end, wherever it is.
    """
    commands = job_commands(order, placed)
    last = LastWord(directory / placed.ended) if placed.ended is not None and placed.attached else None
    watching = (last,) if last is not None else () if placed.nodes else attendants
    if limit_seconds is not None:
        watching = (*watching, Deadline(limit_seconds))

    def job() -> Ending:
        ending = run_job(
            commands=commands,
            run=None if placed.nodes else str(directory),
            wake=wake,
            grace_seconds=order.plan.launch.grace_seconds,
            output=output,
            say=say,
            stop=stop_commands(order, placed),
            log=directory / placed.log if placed.log is not None else None,
            attendants=watching,
            started=last.started if last is not None else lambda _pids: None,
        )
        if last is None or last.code is None or ending.interrupted_by is not None:
            return ending
        return replace(ending, returncode=last.code)

    try:
        if not placed.secret_files:
            return job()
        return on_every_host(
            job, start=commands[0], hosts=placed.hosts, directory=directory, wake=wake, say=say
        )
    finally:
        remove_secrets(directory)


def start_quietly(
    order: Order,
    *,
    directory: Path,
    wake: int,
    say: Callable[[str], None],
    attendants: Sequence[Attendant] = (),
    limit_seconds: float | None = None,
) -> Ending:
    """Runs a job in a folder of its own, which does not exist yet; what it prints goes to its log only."""
    placed, papers = job_papers(order, directory)
    create_named_folder(target=directory, files=lambda _: papers)
    with (directory / "logs" / "launch.log").open("wb", buffering=0) as file:

        def keep(_stream: int, data: bytes) -> None:
            file.write(data)

        return start_job(
            order,
            placed,
            directory=directory,
            wake=wake,
            output=keep,
            say=say,
            attendants=attendants,
            limit_seconds=limit_seconds,
        )
