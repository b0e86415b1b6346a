"""What Slurm cannot be asked for, or not twice: said when planning, before anything waits in a queue."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence

from launcher.errors import Problem
from launcher.executors.formats.site import container_problems
from launcher.executors.formats.slurm_options import CURES, cpus_per_node, job_options, option_names
from launcher.executors.formats.slurm_script import MARK, filled_template, template_lines
from launcher.planning.words import counted
from launcher.spec.place import AllocationPlan, SlurmPlan
from launcher.spec.plan import RunPlan

__all__ = ["allocated_hosts", "slurm_limits"]

_WORD = re.compile(r"[!-~]+", re.ASCII)
_SIGNALS = re.compile(r"(SIG)?(TERM|INT|HUP)(@[0-9]+)?", re.ASCII)
"""Those by which node programs are asked to end."""
_SITES = {"account", "constraint", "partition", "time"}
"""What a site's script may choose where the recipe leaves it out."""


def slurm_limits(plan: RunPlan) -> tuple[Problem, ...]:
    """Everything at once, in the order of a recipe."""
    return (
        *_places(plan),
        *_container(plan),
        *_wishes(plan.launch.slurm),
        *_restarts(plan),
        *_extra(plan),
        *_template(plan),
        *_allocation(plan),
        *_not_submitted(plan),
    )


def allocated_hosts(plan: RunPlan, allocation: AllocationPlan) -> tuple[str, ...]:
    """Hosts of the allocation that have room for a node of the plan, in Slurm's order, as many as are planned."""
    fitting = (host for at, host in enumerate(allocation.hosts) if not _too_few(plan, allocation, at))
    return tuple(fitting)[: plan.layout.num_nodes]


def _places(plan: RunPlan) -> Iterator[Problem]:
    """Machines that a recipe chooses and Slurm chooses too."""
    if plan.launch.hosts:
        yield _cannot(
            "cluster.hostfile",
            "`cluster.hostfile`: Slurm chooses the hosts of a job",
            hint="leave it out; launch.slurm.extra takes --nodelist and --exclude",
        )
    if plan.layout.devices is not None:
        yield _cannot(
            "cluster.devices",
            f"`cluster.devices: [{', '.join(map(str, plan.layout.devices))}]`: Slurm chooses the devices of a job",
            hint=f"write cluster.devices_per_node: {plan.layout.devices_per_node}",
        )


def _container(plan: RunPlan) -> Iterator[Problem]:
    container = plan.launch.container
    if container is None:
        return
    if container.runtime != "pyxis":
        yield from container_problems(container, executor="slurm")
        return
    for at, mount in enumerate(container.mounts):
        if "," in mount:
            yield _cannot(
                f"launch.container.mounts.{at}",
                f"`{mount}`: pyxis reads a comma as the end of a mount",
                hint="mount a folder above it",
            )


def _wishes(slurm: SlurmPlan | None) -> Iterator[Problem]:
    """Values that a line of a script cannot hold as one word."""
    if slurm is None:
        return
    for name in ("partition", "account", "constraint"):
        value = getattr(slurm, name)
        if value is not None and (not _WORD.fullmatch(value) or set(value) & set("\"'\\#")):
            yield _line(
                f"launch.slurm.{name}",
                f"`{name}: {_shown(value)}` is more than one word to sbatch",
                hint="leave out spaces, quotes, `\\` and `#`",
            )
    if slurm.signal is not None and not _SIGNALS.fullmatch(slurm.signal):
        yield _cannot(
            "launch.slurm.signal",
            f"`signal: {slurm.signal}` does not ask a job to end; expected TERM, INT or HUP",
            hint=f"write launch.slurm.signal: TERM@{slurm.signal.partition('@')[2] or 120}",
        )


def _restarts(plan: RunPlan) -> Iterator[Problem]:
    """A job that is started again without its checkpoint trains its first part twice."""
    slurm = plan.launch.slurm
    if slurm is None or plan.launch.resume_args:
        return
    for name, asked in (("requeue: true", slurm.requeue), (f"array: {slurm.array}", slurm.array > 1)):
        if asked:
            key = name.partition(":")[0]
            yield Problem(
                code="restart-without-resume",
                path=f"launch.slurm.{key}",
                message=f"`{name}` starts the script again, and nothing tells it to go on where it was",
                hint="write resume: {args: [...]} with {latest_checkpoint}, or leave it out",
            )


def _extra(plan: RunPlan) -> Iterator[Problem]:
    """Lines that are none, and options that have a key of their own."""
    slurm = plan.launch.slurm
    ours = {*CURES, *(name for option in job_options(plan) for name in option_names(option))}
    for at, line in enumerate(slurm.extra if slurm else ()):
        path = f"launch.slurm.extra.{at}"
        text = line.removeprefix("#SBATCH").strip()
        if not text.startswith("-") or not text.isprintable():
            yield _line(
                path,
                f"`{_shown(line)}` is not one line of options",
                hint="write one option as sbatch takes it: --mem=0",
            )
            continue
        yield from _owned(text, ours, path=path, code="scheduler-line", where=())


def _template(plan: RunPlan) -> Iterator[Problem]:
    template = plan.launch.template
    if template is None or plan.launch.allocation is not None:
        return
    lines = template_lines(template.text)
    marks = [number for number, line in enumerate(lines, 1) if line.strip() == MARK]
    if len(marks) != 1:
        said = f"on lines {', '.join(map(str, marks))}" if marks else "nowhere"
        yield _mark(f"`{template.name}` has the line `{MARK}` {said}; expected it once")
    if not (lines[0].startswith("#!") and "bash" in lines[0]):
        yield _mark(f"`{template.name}` starts with `{_shown(lines[0])}`; expected `#!/bin/bash`")
    yield from filled_template(plan).problems
    rendered = {name for option in job_options(plan) for name in option_names(option)}
    ours = (set(CURES) - _SITES) | rendered
    for number, line in enumerate(lines, 1):
        if line.startswith("#SBATCH"):
            yield from _owned(
                line.removeprefix("#SBATCH").strip(),
                ours,
                path="launch.template",
                code="template-conflict",
                where=(f"line {number} of {template.name}",),
            )


def _owned(
    text: str, ours: Collection[str], *, path: str, code: str, where: Sequence[str]
) -> Iterator[Problem]:
    """Options that the plan sets."""
    try:
        names = list(option_names(text))
    except ValueError as error:
        yield Problem(
            code="scheduler-line",
            path=path,
            message=f"`{_shown(text)}` cannot be read: {str(error).lower()}",
            because=tuple(where),
            hint="close the quotes",
        )
        return
    for name in dict.fromkeys(names):
        if name in ours:
            yield Problem(
                code=code,
                path=path,
                message=f"`{_shown(text)}` sets `--{name}`, which comes from the recipe",
                because=tuple(where),
                hint=CURES.get(name, "leave it out"),
            )


def _allocation(plan: RunPlan) -> Iterator[Problem]:
    """An allocation with less than the plan; and nodes with more of it than others."""
    allocation, nodes = plan.launch.allocation, plan.layout.num_nodes
    if allocation is None:
        return
    few = [words for at in range(len(allocation.hosts)) if (words := _too_few(plan, allocation, at))]
    count = len(allocation.hosts)
    if count - len(few) < nodes:
        fits = counted(count, "node") if not few else f"{count - len(few)} of {counted(count, 'node')}"
        what = "has" if not few else "has room on"
        yield Problem(
            code="allocation-differs",
            path="cluster",
            message=f"Slurm job {allocation.job} {what} {fits}; the plan has {nodes}",
            because=tuple(few),
            hint=f"salloc --nodes={nodes}, or unset SLURM_JOB_ID to submit a job of its own",
        )
    elif allocation.devices and len(set(allocation.devices)) > 1:
        each = ", ".join(f"{host} {n}" for host, n in zip(allocation.hosts, allocation.devices, strict=True))
        yield Problem(
            code="allocation-differs",
            severity="note",
            path="cluster",
            message=f"the nodes of Slurm job {allocation.job} differ; the plan uses"
            f" {plan.layout.devices_per_node} on each: {each}",
        )


def _not_submitted(plan: RunPlan) -> Iterator[Problem]:
    """What only sbatch reads, in an allocation where nothing is submitted; a recipe may be used in both."""
    allocation, launch = plan.launch.allocation, plan.launch
    given = {"launch.slurm": launch.slurm, "launch.template": launch.template}
    for path, value in given.items():
        if allocation is not None and value is not None:
            yield Problem(
                code="no-effect",
                severity="note",
                path=path,
                message=f"`{path}` changes nothing inside Slurm job {allocation.job}: nothing is submitted",
            )


def _too_few(plan: RunPlan, allocation: AllocationPlan, at: int) -> str:
    """What one host of an allocation lacks; empty where it has enough, or Slurm does not say."""
    layout, host = plan.layout, allocation.hosts[at]
    per_node = layout.devices_per_node
    if layout.device_kind != "cpu":
        if allocation.devices and allocation.devices[at] < per_node:
            return f"{host} has {allocation.devices[at]} devices; the plan has {per_node} on each node"
        return ""
    needed = cpus_per_node(plan) or per_node
    if allocation.cpus and allocation.cpus[at] < needed:
        threads = plan.launch.threads_per_process
        used = f"{counted(per_node, 'rank')} x {counted(threads, 'thread')}"
        return f"{host} has {counted(allocation.cpus[at], 'CPU')}; a node of the plan has {needed}: {used}"
    return ""


def _shown(text: str) -> str:
    plain = "".join(letter if letter.isprintable() else repr(letter)[1:-1] for letter in text)
    return plain if len(plain) <= 60 else f"{plain[:57]}..."


def _line(path: str, message: str, *, hint: str) -> Problem:
    return Problem(code="scheduler-line", path=path, message=message, hint=hint)


def _mark(message: str) -> Problem:
    return Problem(
        code="template-without-mark",
        path="launch.template",
        message=message,
        hint=f"put `{MARK}` on a line of its own where the training is to start, in a bash script",
    )


def _cannot(path: str, message: str, *, hint: str) -> Problem:
    return Problem(code="executor-cannot", path=path, message=message, hint=hint)
