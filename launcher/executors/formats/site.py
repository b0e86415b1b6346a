"""What a site wants around a command on its node: modules loaded, an image entered."""

from __future__ import annotations

from launcher.errors import Problem
from launcher.spec.bundle import PYTHON, RUN_DIR, SETUP_MARK
from launcher.spec.place import ContainerPlan
from launcher.spec.plan import RunPlan
from launcher.spec.shell import quote

__all__ = ["container_problems", "setup_script", "wrapped"]


def container_problems(container: ContainerPlan | None, *, executor: str) -> tuple[Problem, ...]:
    """Images that only another executor can enter, and mounts that apptainer would read as something else."""
    if container is None:
        return ()
    if container.runtime != "apptainer":
        owner = {"pyxis": "slurm", "docker": "kubernetes"}[container.runtime]
        problem = Problem(
            code="executor-cannot",
            path="launch.container.runtime",
            message=f"`launch.container.runtime: {container.runtime}` is what {owner} starts images with,"
            f" not `launch.executor: {executor}`",
            hint=f"write launch.container.runtime: apptainer, or launch.executor: {owner}",
        )
        return (problem,)
    return tuple(
        Problem(
            code="executor-cannot",
            path=f"launch.container.mounts.{at}",
            message=f"`{mount}`: apptainer reads a comma as the end of a mount",
            hint="mount a folder above it",
        )
        for at, mount in enumerate(container.mounts)
        if "," in mount
    )


def wrapped(plan: RunPlan, words: tuple[str, ...]) -> tuple[str, ...]:
    """The words after launch.setup and inside launch.container; as they are where there is neither."""
    words = _in_container(plan, words)
    if not plan.launch.setup:
        return words
    return ("bash", "-lc", setup_script(plan.launch.setup), PYTHON, *words)


def setup_script(setup: tuple[tuple[str, ...], ...]) -> str:
    """Text for `bash -lc TEXT PYTHON WORDS...`: every setup command in one login shell, and then the words in it.

    SETUP_MARK names the variables that are new then: the node program hands these on, whatever they are called. The
    folder of the interpreter that stands for the shell's name comes first on PATH, whatever a profile has made of
    PATH, so that the engine's tool is the one that belongs to it.
    """
    commands = (" ".join(map(quote, command)) for command in setup)
    new = f'export {SETUP_MARK}="$(compgen -e | grep -vxF -e "$before")"'
    first = 'case "$0" in */*) PATH="${0%/*}:$PATH" ;; esac'
    return " && ".join(['before="$(compgen -e)"', *commands, new, first, 'exec "$@"'])


def _in_container(plan: RunPlan, words: tuple[str, ...]) -> tuple[str, ...]:
    """The words, inside launch.container where apptainer enters it; run folder and workdir are seen there too."""
    container = plan.launch.container
    if container is None:
        return words
    devices = {"cuda": ("--nv",), "rocm": ("--rocm",)}.get(plan.layout.device_kind, ())
    mounts = (*container.mounts, RUN_DIR, plan.launch.workdir)
    binds = (word for mount in mounts for word in ("--bind", mount))
    return ("apptainer", "exec", *devices, *binds, container.image, *words)
