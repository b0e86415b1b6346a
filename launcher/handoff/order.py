"""What is to be started, for whom, and the commands that come of it on this machine."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from launcher.handoff.running.commands import JobCommand
from launcher.handoff.running.environment import job_environment, with_time_to_end
from launcher.handoff.running.executables import find_executable
from launcher.handoff.running.ports import why_not_listen
from launcher.spec.bundle import MAIN_PORT, PYTHON, LaunchBundle, port_of
from launcher.spec.plan import RunPlan

__all__ = ["Order", "job_commands", "placed_bundle", "stop_commands", "with_callers_options"]

_PYTHONS = ("python3", "python")
_OPTION_LISTS = frozenset({"PDSH_SSH_ARGS_APPEND"})  # of which ssh takes the first word on a subject


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
        programs = tuple(command.argv[0].replace(PYTHON, self.python) for command in self.bundle.commands)
        inside = bool(self.bundle.nodes) or self.plan.launch.container is not None
        return programs if inside or self.plan.launch.python in programs else (*self.requirements, *programs)

    @property
    def python(self) -> str:
        """Interpreter of the job on its nodes: as written, else our own, which a shared file system has everywhere."""
        launch = self.plan.launch
        if launch.python != "python3":
            return str(Path(launch.workdir, launch.python)) if "/" in launch.python else launch.python
        if launch.container is not None:
            return launch.python
        return next(
            (str(path) for path in map(self.beside.joinpath, _PYTHONS) if path.exists()), launch.python
        )


def placed_bundle(bundle: LaunchBundle, directory: str, *, python: str = "python3") -> LaunchBundle:
    """The bundle for one folder; the ranks meet at that folder's own port, or at the next one that is free here.

    python: the job's interpreter on its nodes.
    """
    start = port_of(directory)
    if not any(MAIN_PORT in word for command in bundle.commands for word in command.argv):
        return bundle.placed(directory, main_port=start, python=python)
    free = (port for port in range(start, start + 100) if why_not_listen(port) is None)
    return bundle.placed(directory, main_port=next(free, start), python=python)


def job_commands(order: Order, placed: LaunchBundle) -> tuple[JobCommand, ...]:
    """The commands of a placed bundle, with the file of each program and the environment that it gets here.

    A program that is not found keeps its name; checks have said so before anything is started.
    """
    return tuple(
        _command(order, command.argv, command.env, elsewhere=bool(placed.nodes))
        for command in placed.commands
    )


def stop_commands(order: Order, placed: LaunchBundle) -> tuple[JobCommand, ...]:
    """The commands that ask a placed bundle's job to end, as its own commands are started."""
    rendered = placed.commands[0].env
    return tuple(_command(order, words, rendered, elsewhere=True) for words in placed.stop)


def with_callers_options(*, environ: Mapping[str, str], rendered: Mapping[str, str]) -> dict[str, str]:
    """What is rendered, where it is a list of options after the person's own, which win."""
    return {
        name: f"{environ[name]} {value}".strip() if name in _OPTION_LISTS & environ.keys() else value
        for name, value in rendered.items()
    }


def _command(
    order: Order, argv: tuple[str, ...], rendered: Mapping[str, str], *, elsewhere: bool
) -> JobCommand:
    """elsewhere: whether the program only reaches other machines, where the job gets its environment.

    Such a program is the person's tool and not part of the job: it has the person's variables, agents and all.
    """
    workdir = order.plan.launch.workdir
    found = find_executable(argv[0], environ=order.environ, beside=order.beside, directory=workdir)
    if elsewhere:
        environment = {**order.environ, **with_callers_options(environ=order.environ, rendered=rendered)}
    else:
        environment = job_environment(
            environ=order.environ,
            rendered=rendered,
            pass_env=order.plan.launch.pass_env,
            first_on_path=(str(found.parent),) if found else (),
        )
        environment = with_time_to_end(environment, grace_seconds=order.plan.launch.grace_seconds)
    if elsewhere and not Path(workdir).is_dir():  # a folder of an image
        workdir = str(Path.cwd())
    return JobCommand(argv=(str(found or argv[0]), *argv[1:]), env=environment, directory=workdir)
