"""The machines that a Slurm allocation holds, as its own variables name them. No process is started.

Source: slurm@22.05 doc/man/man1/salloc.1, sbatch.1 and srun.1, "OUTPUT ENVIRONMENT VARIABLES".
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from fractions import Fraction

from launcher.discovery.node_lists import expand_counts, expand_hosts
from launcher.errors import Problem, RecipeError
from launcher.spec.cluster import Cluster, Group
from launcher.spec.place import AllocationPlan
from launcher.spec.recipe import Recipe
from launcher.units import Amount

__all__ = ["allocated_cluster", "read_allocation", "with_allocation"]

_MEBIBYTE = 1 << 20


def with_allocation(recipe: Recipe, *, environ: Mapping[str, str] | None = None) -> Recipe:
    """The recipe with the allocation that we are in, where Slurm starts the job. Raises RecipeError.

    environ: the caller's variables; the process's own when None.
    """
    if recipe.launch.executor != "slurm":
        return recipe
    environ = os.environ if environ is None else environ  # noqa: TID251 - what the scheduler has set
    allocation = read_allocation(environ)
    return recipe if allocation is None else replace(recipe, allocation=allocation)


def read_allocation(environ: Mapping[str, str]) -> AllocationPlan | None:
    """Job, hosts, and processors and accelerators of each; None outside of an allocation. Raises RecipeError."""
    job = environ.get("SLURM_JOB_ID")
    named = environ.get("SLURM_JOB_NODELIST") or environ.get("SLURM_NODELIST")
    if not job or not named:
        return None
    try:
        hosts = expand_hosts(named)
        return AllocationPlan(
            job=job,
            hosts=hosts,
            cpus=_per_node(environ, "SLURM_JOB_CPUS_PER_NODE", len(hosts)),
            tasks=_per_node(environ, "SLURM_TASKS_PER_NODE", len(hosts)),
            devices=_devices(environ, len(hosts)),
            memory_bytes=_memory(environ),
        )
    except ValueError as error:
        problem = Problem(
            code="allocation-unreadable",
            path="launch.executor",
            message=f"the allocation {job} cannot be read: {error}",
            hint="unset SLURM_JOB_ID to submit a job of its own",
        )
        raise RecipeError([problem]) from None


def allocated_cluster(allocation: AllocationPlan, *, here: Cluster) -> Cluster:
    """What the allocation has, for a recipe that names no cluster.

    here: this machine, which tells the kind of accelerator where it has some, and their number where Slurm does not.
    Processes on CPU are as many as the allocation has tasks. Nodes that differ become groups, of which planning takes
    the smallest.
    """
    device, slots = "cpu", allocation.tasks
    accelerated = here.device not in {None, "cpu"}
    if allocation.devices and max(allocation.devices) > 0:
        slots = allocation.devices
        device = str(here.device) if accelerated else "gpu"
    elif accelerated:
        count = len(here.devices) if here.devices else here.devices_per_node or 1
        device, slots = str(here.device), (count,) * len(allocation.hosts)
    slots = slots or (1,) * len(allocation.hosts)
    per_node = Cluster(
        nodes=len(allocation.hosts),
        device=device,
        cpus_per_node=min(allocation.cpus) if allocation.cpus else None,
        host_memory=_amount(allocation.memory_bytes),
    )
    if len(set(slots)) == 1:
        return replace(per_node, devices_per_node=slots[0])
    kinds = {count: slots.count(count) for count in slots}
    groups = tuple(Group(nodes=n, devices_per_node=count, device=device) for count, n in kinds.items())
    return replace(per_node, nodes=1, groups=groups)


def _per_node(environ: Mapping[str, str], name: str, nodes: int) -> tuple[int, ...]:
    """One number for each host; empty where the variable is absent."""
    text = environ.get(name)
    if not text:
        return ()
    counts = expand_counts(text)
    if len(counts) != nodes:
        raise ValueError(f"{name} has {len(counts)} numbers for {nodes} hosts")
    return counts


def _devices(environ: Mapping[str, str], nodes: int) -> tuple[int, ...]:
    """Accelerators of each host: `8`, `h100:8`, `a100:2,l4:1`; empty where nobody says."""
    asked = environ.get("SLURM_GPUS_PER_NODE")
    if asked:
        counts = [piece.rpartition(":")[2] for piece in asked.split(",")]
        if not all(count.isdecimal() for count in counts):
            raise ValueError(f"SLURM_GPUS_PER_NODE is `{asked}`")
        return (sum(map(int, counts)),) * nodes
    if given := environ.get("SLURM_JOB_GPUS"):
        return (len(given.split(",")),) * nodes
    here = environ.get("SLURM_GPUS_ON_NODE", "")
    return (int(here),) * nodes if here.isdecimal() else ()


def _memory(environ: Mapping[str, str]) -> int | None:
    """Bytes of memory on each node; Slurm counts in MiB and calls them MB. 0 is all of the node."""
    of_node = environ.get("SLURM_MEM_PER_NODE", "")
    if of_node.isdecimal() and int(of_node):
        return int(of_node) * _MEBIBYTE
    of_cpu, cpus = environ.get("SLURM_MEM_PER_CPU", ""), environ.get("SLURM_JOB_CPUS_PER_NODE")
    if of_cpu.isdecimal() and int(of_cpu) and cpus:
        return int(of_cpu) * min(expand_counts(cpus)) * _MEBIBYTE
    return None


def _amount(count: int | None) -> Amount | None:
    return None if count is None else Amount(number=Fraction(count), unit="bytes", text=f"{count} B")
