"""What must hold on this machine before anything starts; each failure is a problem, all are reported at once."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from launcher.errors import Problem
from launcher.handoff.compiler import check_compiler
from launcher.handoff.running.executables import find_executable
from launcher.handoff.running.ports import why_not_listen
from launcher.spec.caller import INSIDE_IMAGES
from launcher.spec.plan import RunPlan

__all__ = ["check_launch"]

_ON_A_LOGIN_NODE = ("launch.executor", "start it where Slurm's commands are, on a login node")
# programs that are no Python package: where it is written that they are needed, and how to get them
_CURES = {
    "pdsh": ("launch.executor", "apt-get install pdsh"),
    "sbatch": _ON_A_LOGIN_NODE,
    "srun": _ON_A_LOGIN_NODE,
    "kubectl": ("launch.executor", "install kubectl and let it reach the cluster"),
    "apptainer": ("launch.container.runtime", "install apptainer, or load its module in launch.setup"),
}


def check_launch(
    *,
    plan: RunPlan,
    executables: Sequence[str],
    environ: Mapping[str, str],
    beside: Path,
    elsewhere: bool = False,
) -> tuple[Problem, ...]:
    """Everything that would stop the job, in the order in which the job would meet it.

    executables: command names that the engine and its commands need. beside: folder of our own interpreter.
    elsewhere: whether the job runs on other machines, which are asked themselves.
    """
    if plan.launch.executor in INSIDE_IMAGES:
        return _check_executables(plan, executables, environ, beside)
    workdir = Path(plan.launch.workdir)
    if not workdir.is_dir():
        shown = _shown(workdir)
        hint = "launch.workdir is taken from the recipe's folder"
        message = f"`launch.workdir`: there is no folder `{shown}`"
        return (Problem(code="workdir-not-found", path="launch.workdir", message=message, hint=hint),)
    return (
        *_check_nodes(plan),
        *_check_script(plan, workdir, environ),
        *_check_executables(plan, executables, environ, beside),
        *_check_pass_env(plan, environ),
        *(() if elsewhere else _check_port(plan)),
        *(() if elsewhere else check_compiler(plan=plan, environ=environ, beside=beside)),
    )


def _check_nodes(plan: RunPlan) -> tuple[Problem, ...]:
    """Commands for other machines must not all start on this one."""
    if plan.layout.num_nodes == 1 or plan.launch.executor != "local":
        return ()
    nodes = plan.layout.num_nodes
    problem = Problem(
        code="not-yet-supported",
        path="cluster.nodes",
        message=f"`launch.executor: local` starts processes on this machine; the plan has {nodes} nodes",
        hint="start on each node what `batchwright render` prints for it",
    )
    return (problem,)


def _check_script(plan: RunPlan, workdir: Path, environ: Mapping[str, str]) -> tuple[Problem, ...]:
    script, module = plan.launch.script, plan.launch.module
    if script is not None and not (workdir / script).is_file():
        near = _near(script, workdir)
        return (
            Problem(
                code="script-not-found",
                path="launch.script",
                message=f"`script: {script}`: there is no such file in `{_shown(workdir)}`",
                hint=f"did you mean `{near}`?" if near else "launch.script is taken from launch.workdir",
            ),
        )
    if module is not None and not _module_exists(module, workdir, environ):
        return (
            Problem(
                code="script-not-found",
                path="launch.module",
                message=f"`module: {module}`: no such module in `{_shown(workdir)}` or on the Python path",
                hint="a module is written with dots, from launch.workdir: `package.train`",
            ),
        )
    return ()


def _module_exists(module: str, workdir: Path, environ: Mapping[str, str]) -> bool:
    """Looks at files only: importing the package of a training script can take seconds."""
    from importlib.util import find_spec

    parts = module.split(".")
    roots = [workdir, *(Path(entry) for entry in environ.get("PYTHONPATH", "").split(":") if entry)]
    holding = [root for root in roots if (root / parts[0]).is_dir() or (root / f"{parts[0]}.py").is_file()]
    if not holding:
        return find_spec(parts[0]) is not None
    path = holding[0].joinpath(*parts)
    return path.with_name(f"{path.name}.py").is_file() or (path / "__main__.py").is_file()


def _check_executables(
    plan: RunPlan, executables: Sequence[str], environ: Mapping[str, str], beside: Path
) -> tuple[Problem, ...]:
    problems = []
    for name in dict.fromkeys(executables):
        if find_executable(name, environ=environ, beside=beside, directory=plan.launch.workdir) is None:
            path, cure = _CURES.get(name, ("launch.engine", "pip install 'batchwright[train]'"))
            if name == plan.launch.python:
                path, cure = "launch.python", "write launch.python as a path"
            problems.append(
                Problem(
                    code="executable-not-found",
                    path=path,
                    message=f"`{name}` is neither beside our own interpreter nor on PATH",
                    hint=cure,
                )
            )
    return tuple(problems)


def _check_pass_env(plan: RunPlan, environ: Mapping[str, str]) -> tuple[Problem, ...]:
    return tuple(
        Problem(
            code="pass-env-missing",
            path=f"launch.pass_env.{index}",
            message=f"`{name}` is to be handed on and is not set",
            hint=f"export {name}=..., or drop it from launch.pass_env",
        )
        for index, name in enumerate(plan.launch.pass_env)
        if name not in environ
    )


def _check_port(plan: RunPlan) -> tuple[Problem, ...]:
    port = plan.launch.main_port
    if port is None or plan.layout.num_nodes != 1:
        return ()
    why = why_not_listen(port)
    if why is None:
        return ()
    problem = Problem(
        code="port-in-use",
        path="launch.network.port",
        message=f"`port: {port}` cannot be listened on",
        because=(why,),
        hint="drop launch.network.port: a free one is chosen at the start",
    )
    return (problem,)


def _near(script: str, workdir: Path) -> str | None:
    from difflib import get_close_matches

    here = [path.name for path in workdir.glob("*.py")]
    return next(iter(get_close_matches(script, here, n=1, cutoff=0.8)), None)


def _shown(path: Path) -> str:
    """A path as a person in the current folder would type it: the shorter of relative and absolute."""
    return min(os.path.relpath(path), str(path), key=len)
