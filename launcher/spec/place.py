"""What is started and where, as a plan says it: script, containers, a scheduler's wishes, a site's own job file."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

__all__ = ["AllocationPlan", "ContainerPlan", "LaunchPlan", "SlurmPlan", "TemplatePlan"]


@dataclass(frozen=True, slots=True, kw_only=True)
class AllocationPlan:
    """Machines of a Slurm job that the caller already has; empty where Slurm does not say."""

    job: str
    """Its number."""
    hosts: tuple[str, ...]
    """In Slurm's order, which is that of SLURM_NODEID."""
    cpus: tuple[int, ...] = ()
    """Processors of each host."""
    tasks: tuple[int, ...] = ()
    """Tasks that Slurm would start on each host."""
    devices: tuple[int, ...] = ()
    """Accelerators of each host."""
    memory_bytes: int | None = None
    """Of each host."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ContainerPlan:
    """Image the job runs in."""

    image: str
    mounts: tuple[str, ...]
    runtime: Literal["pyxis", "apptainer", "docker"]


@dataclass(frozen=True, slots=True, kw_only=True)
class SlurmPlan:
    """What a Slurm site wants to know."""

    partition: str | None
    account: str | None
    constraint: str | None
    time_seconds: float | None
    signal: str | None
    requeue: bool
    array: int
    """Jobs chained one after another; 1: a single one."""
    extra: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class TemplatePlan:
    """A site's own job file, read when the recipe was loaded."""

    name: str
    """As written."""
    text: str
    manifest: Mapping[str, Any] | None = None
    """Its content, where it is a Kubernetes manifest."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LaunchPlan:
    """What is started, and where. Argument and environment values still hold their placeholders."""

    engine: str
    executor: str
    script: str | None
    module: str | None
    args: tuple[str, ...]
    env: Mapping[str, str]
    pass_env: tuple[str, ...]
    python: str
    workdir: str
    """Absolute; a path, in neither hash."""
    runtime: bool
    main_address: str
    main_port: int | None
    """None: chosen when it is started."""
    native_deepspeed: Mapping[str, Any]
    native_accelerate: Mapping[str, Any]
    native_argv: tuple[str, ...]
    threads_per_process: int
    """OMP_NUM_THREADS."""
    handshake_seconds: float
    stall_seconds: float
    grace_seconds: float
    hosts: tuple[str, ...] = ()
    """Names of the nodes by node rank, where a hostfile names them; not in plan_hash."""
    interface: str = "auto"
    """Network interface; auto: the one that reaches the main address."""
    setup: tuple[tuple[str, ...], ...] = ()
    """Commands before the job on every node, in one login shell with it."""
    container: ContainerPlan | None = None
    slurm: SlurmPlan | None = None
    allocation: AllocationPlan | None = None
    """Slurm job that the plan was made in; its machines are used, nothing is submitted. Not in plan_hash."""
    template: TemplatePlan | None = None
    resume_args: tuple[str, ...] = ()
    """Further arguments of a start that is not the first."""
