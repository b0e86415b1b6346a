"""How the job is started, as a recipe describes it."""

from dataclasses import dataclass, field
from typing import Annotated, Literal

from launcher.spec.kinds import (
    Count,
    Duration,
    FreeMapping,
    NonNegativeInteger,
    Range,
    Text,
    TextMapping,
    VariableName,
)
from launcher.units import Amount, parse_amount

__all__ = ["Container", "Launch", "Native", "Network", "Slurm", "Timeouts"]

Port = Annotated[int, Range(low=1, high=65535)]
ScriptApplies = Literal[
    "tensor",
    "pipeline",
    "virtual_pipeline",
    "context",
    "sequence",
    "expert",
    "zero",
    "fsdp",
    "stages",
]


def _duration(text: str) -> Amount:
    return parse_amount(text, kind="duration")


_HANDSHAKE, _STALL, _GRACE = _duration("60 s"), _duration("10 min"), _duration("90 s")


@dataclass(frozen=True, slots=True, kw_only=True)
class Network:
    """Where the ranks meet."""

    port: Port | Literal["auto"] = "auto"
    """Port on the main node."""
    interface: Text = "auto"
    """Network interface."""
    main_address: Text = "auto"
    """Address of the main node."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Native:
    """Keys of other tools that a recipe does not know, merged last."""

    deepspeed: FreeMapping = field(default_factory=dict)
    """Into the DeepSpeed JSON."""
    accelerate: FreeMapping = field(default_factory=dict)
    """Into the Accelerate file."""
    argv: tuple[str, ...] = ()
    """Before the script, on the engine's own command line."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Container:
    """Image the job runs in."""

    image: Text
    """Image name."""
    mounts: tuple[Text, ...] = ()
    """Bind mounts."""
    runtime: Literal["pyxis", "apptainer", "docker"] = "docker"
    """What starts it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Slurm:
    """What a Slurm site wants to know."""

    partition: Text | None = None
    """Partition."""
    account: Text | None = None
    """Account."""
    constraint: Text | None = None
    """Features that nodes must have (`a100&ib`)."""
    time: Duration | None = None
    """Time limit of the job."""
    signal: Annotated[str, "signal"] | None = None
    """Signal before the end (`TERM@120`)."""
    requeue: bool = False
    """Start again after a node failure or preemption; needs resume."""
    array: Count = 1
    """Jobs chained one after another, each resuming the last; more than 1 needs resume."""
    extra: tuple[Text, ...] = ()
    """Further #SBATCH lines."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Timeouts:
    """How long to wait before speaking up."""

    handshake: Duration = _HANDSHAKE
    """For all ranks to report."""
    stall: Duration = _STALL
    """Without a step."""
    grace: Duration = _GRACE
    """Between asking a job to end and ending it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Launch:
    """Engine, executor, script and its surroundings."""

    engine: Text = "torchrun"
    """deepspeed, accelerate, torchrun, or a plugin's name."""
    executor: Text = "local"
    """local, ssh, slurm, kubernetes, or a plugin's name."""
    script: Text | None = None
    """The training script, from workdir."""
    module: Annotated[str, "module"] | None = None
    """A module instead of a script (`package.train`)."""
    args: tuple[str, ...] = ()
    """Arguments of the script; placeholders in braces."""
    env: TextMapping = field(default_factory=dict)
    """Environment of the job; placeholders in braces."""
    pass_env: tuple[VariableName, ...] = ()
    """Variables handed on by name, never written down."""
    python: Text = "python3"
    """Interpreter."""
    workdir: Text = "."
    """Folder the script runs in, from the recipe's folder."""
    network: Network = Network()
    """Where the ranks meet."""
    runtime: bool = False
    """true: the script uses launcher.runtime; false: placeholders and witness."""
    script_applies: tuple[ScriptApplies, ...] = ()
    """What the script does itself; `stages` where it changes the batch while it runs, as Megatron does."""
    native: Native = field(default_factory=Native)
    """Keys of other tools, merged last."""
    setup: tuple[tuple[str, ...], ...] = ()
    """Commands before the job on every node."""
    container: Container | None = None
    """Image the job runs in."""
    slurm: Slurm | None = None
    """What a Slurm site wants to know."""
    template: Text | None = None
    """A site's own job file with our block in it."""
    timeouts: Timeouts = Timeouts()
    """How long to wait before speaking up."""
    restarts: NonNegativeInteger = 0
    """How often a failed job is started again."""
