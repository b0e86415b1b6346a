"""What is to be started, for whom, and the commands that come of it on this machine."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from launcher.handoff.environment import job_environment
from launcher.handoff.executables import find_executable
from launcher.handoff.job import JobCommand
from launcher.handoff.ports import why_not_listen
from launcher.spec.bundle import MAIN_PORT, LaunchBundle, port_of
from launcher.spec.plan import RunPlan

__all__ = ["Order", "job_commands", "placed_bundle"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """One job as somebody asked for it."""

    plan: RunPlan
    bundle: LaunchBundle
    recipe_text: str
    """Kept as recipe.yaml."""
    asked: tuple[str, ...]
    """The command line as the person typed it, kept in commands.txt."""
    requirements: tuple[str, ...]
    """Executables that the engine names."""
    environ: Mapping[str, str]
    beside: Path
    """Folder of our own interpreter; its programs come first."""

    @property
    def executables(self) -> tuple[str, ...]:
        """Programs that must be here; an engine that runs as a module of another interpreter needs only that."""
        programs = tuple(command.argv[0] for command in self.bundle.commands)
        return programs if self.plan.launch.python in programs else (*self.requirements, *programs)


def placed_bundle(bundle: LaunchBundle, directory: str) -> LaunchBundle:
    """The bundle for one folder; the ranks meet at that folder's own port, or at the next one that is free."""
    start = port_of(directory)
    if not any(MAIN_PORT in word for command in bundle.commands for word in command.argv):
        return bundle.placed(directory, main_port=start)
    free = (port for port in range(start, start + 100) if why_not_listen(port) is None)
    return bundle.placed(directory, main_port=next(free, start))


def job_commands(order: Order, placed: LaunchBundle) -> tuple[JobCommand, ...]:
    """The commands of a placed bundle, with the file of each program and the environment that it gets here.

    A program that is not found keeps its name; checks have said so before anything is started.
    """
    workdir = order.plan.launch.workdir
    commands = []
    for command in placed.commands:
        program = command.argv[0]
        found = find_executable(program, environ=order.environ, beside=order.beside, directory=workdir)
        environment = job_environment(
            environ=order.environ,
            rendered=command.env,
            pass_env=order.plan.launch.pass_env,
            first_on_path=(str(found.parent),) if found else (),
        )
        argv = (str(found or program), *command.argv[1:])
        commands.append(JobCommand(argv=argv, env=environment, directory=workdir))
    return tuple(commands)
