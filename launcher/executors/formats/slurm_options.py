"""The options of a Slurm job: which the plan owns, and how a site's own lines are read.

Each option of ours is said twice: in the script, for people and for `sbatch job.sbatch` by hand, and on the command
line, because a variable such as SBATCH_EXPORT wins over a line of the script.

Source: slurm@22.05 doc/man/man1/sbatch.1, "INPUT ENVIRONMENT VARIABLES"; src/sbatch/opt.c:_get_next_opt.
"""

from __future__ import annotations

import math
import shlex
from collections.abc import Iterator

from launcher.spec.bundle import RUN_ID
from launcher.spec.caller import HERE, NAMES, SOFTWARE
from launcher.spec.plan import RunPlan

__all__ = [
    "CURES",
    "cpus_per_node",
    "duration",
    "job_options",
    "option_names",
    "passed_names",
    "usual_signal",
]

_NODES = "write cluster.nodes"
_DEVICES = "write cluster.devices_per_node"
_FOLLOWED = "leave it out: the output of the job goes to its run folder"

CURES = {
    "account": "write launch.slurm.account",
    "array": "write launch.slurm.array",
    "chdir": "write launch.workdir",
    "constraint": "write launch.slurm.constraint",
    "error": _FOLLOWED,
    "export": "write launch.pass_env",
    "export-file": "write launch.pass_env",
    "gpus": _DEVICES,
    "gpus-per-node": _DEVICES,
    "gpus-per-task": _DEVICES,
    "job-name": "leave it out: the job is found by its name",
    "nodes": _NODES,
    "ntasks": _DEVICES,
    "ntasks-per-node": _DEVICES,
    "no-requeue": "write launch.slurm.requeue",
    "open-mode": _FOLLOWED,
    "output": _FOLLOWED,
    "parsable": "leave it out",
    "partition": "write launch.slurm.partition",
    "requeue": "write launch.slurm.requeue",
    "signal": "write launch.slurm.signal",
    "time": "write launch.slurm.time",
    "wait": "leave it out",
    "wrap": "leave it out",
}
"""Options that have a place of their own in a recipe, and what to write there."""

_SHORT = {
    "A": "account",
    "C": "constraint",
    "D": "chdir",
    "G": "gpus",
    "J": "job-name",
    "N": "nodes",
    "W": "wait",
    "a": "array",
    "c": "cpus-per-task",
    "e": "error",
    "n": "ntasks",
    "o": "output",
    "p": "partition",
    "t": "time",
}
_SLACK = 30
"""Seconds for a job to end after its grace: last output, records, Slurm's own way."""
_EARLIER = 60
"""Seconds that Slurm may send a signal earlier than asked. Source: sbatch.1, `--signal`."""


def job_options(plan: RunPlan) -> tuple[str, ...]:
    """The words of an sbatch command that the plan owns, in the order of the script."""
    layout, slurm = plan.layout, plan.launch.slurm
    values: dict[str, str | int | None] = {
        "job-name": RUN_ID,
        "nodes": layout.num_nodes,
        "ntasks-per-node": 1,
        "cpus-per-task": cpus_per_node(plan),
        **_accelerators(plan),
        "partition": slurm.partition if slurm else None,
        "account": slurm.account if slurm else None,
        "constraint": slurm.constraint if slurm else None,
        "time": duration(slurm.time_seconds) if slurm and slurm.time_seconds is not None else None,
        "signal": (slurm.signal if slurm else None) or usual_signal(plan),
        "array": f"0-{slurm.array - 1}%1" if slurm and slurm.array > 1 else None,
        "export": ",".join(passed_names(plan)),
    }
    again = "--requeue" if slurm and slurm.requeue else "--no-requeue"
    words = [f"--{name}={value}" for name, value in values.items() if value is not None]
    return (*words, again, "--open-mode=append")


def cpus_per_node(plan: RunPlan) -> int | None:
    """Processors for the one task of a node, which starts all its processes; None: as the site gives them."""
    threads = plan.launch.threads_per_process
    if plan.layout.device_kind != "cpu" and threads == 1:
        return None
    return threads * plan.layout.devices_per_node


def duration(seconds: float) -> str:
    """`D-HH:MM:SS`, rounded up to whole seconds."""
    minutes, second = divmod(math.ceil(seconds), 60)
    hours, minute = divmod(minutes, 60)
    days, hour = divmod(hours, 24)
    return f"{days}-{hour:02}:{minute:02}:{second:02}"


def usual_signal(plan: RunPlan) -> str | None:
    """SIGTERM long enough before the time limit for launch.timeouts.grace; none in a job that is hardly longer.

    Slurm by itself gives KillWait (30 s) between SIGTERM and SIGKILL. Without `B:` the signal goes to the node
    programs and not to the script, which has to live on to say how they ended.
    """
    before = math.ceil(plan.launch.grace_seconds) + _SLACK
    limit = plan.launch.slurm.time_seconds if plan.launch.slurm else None
    return None if limit is not None and limit < 2 * (before + _EARLIER) else f"TERM@{before}"


def passed_names(plan: RunPlan) -> tuple[str, ...]:
    """Names of the variables that sbatch hands on from the caller, values nowhere.

    What a login on the node sets is the node's; with launch.setup or an image, so is where software lies.
    """
    launch = plan.launch
    left = HERE | SOFTWARE if launch.setup or launch.container is not None else HERE
    return tuple(dict.fromkeys((*sorted(NAMES - left), *launch.pass_env)))


def option_names(line: str) -> Iterator[str]:
    """Long names of the options in a line of words as sbatch reads it. ValueError where quotes do not match."""
    for word in shlex.split(line, comments=True):
        if word.startswith("--gres=gpu"):
            yield "gpus"  # another word for the same devices
        elif word.startswith("--"):
            yield _whole(word[2:].partition("=")[0])
        elif word.startswith("-") and len(word) > 1:
            yield _SHORT.get(word[1], word[1])


def _whole(name: str) -> str:
    """The option of ours that an abbreviation stands for, as getopt_long(3) reads it."""
    if name in CURES or len(name) < 3:
        return name
    return next((known for known in CURES if known.startswith(name)), name)


def _accelerators(plan: RunPlan) -> dict[str, str | int]:
    """Gaudi is a generic resource of its own name. Source: docs.habana.ai, "Slurm"."""
    count = plan.layout.devices_per_node
    if plan.layout.device_kind == "cpu":
        return {}
    return {"gres": f"hpu:{count}"} if plan.layout.device_kind == "hpu" else {"gpus-per-node": count}
