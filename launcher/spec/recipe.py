"""What a person writes: the whole recipe. Field, default and help in one place; help is the text below a field.

Annotations are evaluated, not strings: the reader, the JSON Schema and the reference walk them.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Literal

from launcher.spec.catalog import Device
from launcher.spec.cluster import Cluster
from launcher.spec.kinds import (
    Count,
    CountAmount,
    NonNegativeInteger,
    OrWritten,
    RampAmount,
    Text,
)
from launcher.spec.launch import Launch
from launcher.spec.marks import Mark
from launcher.spec.model import Model
from launcher.spec.noise import GradientNoise, NoiseMode
from launcher.spec.parallel import Parallel
from launcher.spec.parts import RecipePart
from launcher.spec.place import AllocationPlan, TemplatePlan
from launcher.spec.trace_file import TraceFile
from launcher.spec.training import Checkpoint, Data, Evaluation, Loss, Optimizer, Precisions, Resume, Schedule

__all__ = ["EncoderDecoderLength", "Rampup", "Recipe", "Stage"]


@dataclass(frozen=True, slots=True, kw_only=True)
class EncoderDecoderLength:
    """Sequence lengths of an encoder-decoder, in tokens."""

    input: Count
    """Tokens into the encoder."""
    target: Count
    """Tokens out of the decoder."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """A part of the run: its batch, its sequence length, and any key below the three numbers that differs in it."""

    until: RampAmount | None = None
    """Where the stage ends, counted from the start of the run; absent for the last one."""
    global_batch_size: Count | None = None
    """Sequences per optimizer step in this stage."""
    global_batch_tokens: CountAmount | None = None
    """The same in tokens."""
    sequence_length: Count | EncoderDecoderLength | None = None
    """Tokens per sequence in this stage."""
    model: Model | None = None
    """What is written here replaces those keys of `model` in this stage; so for every section below."""
    data: Data | None = None
    """Training data."""
    optimizer: Optimizer | None = None
    """Optimizer and learning rate."""
    schedule: Schedule | None = None
    """Warmup and decay."""
    precision: Literal["auto", "fp32", "fp16", "bf16", "fp8"] | Precisions | None = None
    """Number formats."""
    activation_checkpointing: Literal["none", "selective", "full"] | None = None
    """Recomputation."""
    attention: Literal["eager", "sdpa", "flash"] | None = None
    """Attention implementation."""
    compile: bool | None = None
    """Whether the model is compiled."""
    loss: Loss | None = None
    """The loss."""
    micro_batch_size: Count | Literal["auto"] | None = None
    """Micro-batch in this stage."""
    gradient_accumulation_steps: Count | Literal["auto"] | None = None
    """Accumulation in this stage."""
    parallel: Literal["auto"] | Parallel | None = None
    """How ranks divide the work."""
    gradient_noise: NoiseMode | GradientNoise | None = None
    """Whether gradient noise is measured."""
    cluster: Annotated[str, "cluster"] | Cluster | None = None
    """The machines."""
    launch: Launch | None = None
    """How the job is started."""
    evaluation: Evaluation | None = None
    """When the script evaluates."""
    checkpoint: Checkpoint | None = None
    """When the script saves."""
    resume: Resume | None = None
    """How the script resumes."""
    seed: NonNegativeInteger | None = None
    """Seed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rampup:
    """Megatron's older notation of a batch ramp, up to global_batch_size in equal increments."""

    rampup_batch_size: tuple[Count, Count, CountAmount]
    """First batch, increment (both in sequences), and the samples over which the batch grows: `[16, 16, 9_765_625]`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """A whole training run as a person describes it."""

    schema: Literal[1] = 1
    """Version of this vocabulary. First key of the file."""
    name: Text | None = None
    """Names run folders and jobs; the file's name when absent."""
    global_batch_size: Count | None = None
    """Sequences per optimizer step, over the whole job."""
    global_batch_tokens: CountAmount | None = None
    """Tokens per optimizer step instead of sequences (`8Mi`); must be whole sequences."""
    sequence_length: Count | EncoderDecoderLength | None = None
    """Tokens per sequence (time steps for recurrent kinds); absent for image and tabular kinds."""
    hidden_size: Count | None = None
    """Width of the model."""
    model: Model = field(default_factory=Model)
    """The network."""
    data: Data = field(default_factory=Data)
    """The training data."""
    optimizer: Optimizer = field(default_factory=Optimizer)
    """The optimizer and its learning rate."""
    schedule: Schedule = field(default_factory=Schedule)
    """Warmup, decay and length of the run."""
    stages: Annotated[tuple[Stage, ...], OrWritten((Annotated[str, "step schedule"], Rampup))] = ()
    """Batch ramp and sequence-length extension: a list, or one of Megatron's two notations of a batch ramp."""
    precision: Literal["auto", "fp32", "fp16", "bf16", "fp8"] | Precisions = "auto"
    """What the model computes in: fp32 on CPU, else bf16, when not written."""
    activation_checkpointing: Literal["none", "selective", "full"] = "none"
    """Which activations are computed again instead of kept."""
    attention: Literal["eager", "sdpa", "flash"] = "sdpa"
    """Attention implementation."""
    compile: bool = False
    """Whether the model is compiled."""
    loss: Loss = field(default_factory=Loss)
    """The loss and what it is averaged over."""
    micro_batch_size: Count | Literal["auto"] = "auto"
    """Sequences per forward pass on one data-parallel rank."""
    gradient_accumulation_steps: Count | Literal["auto"] = "auto"
    """Forward passes per optimizer step on one rank."""
    parallel: Literal["auto"] | Parallel = "auto"
    """How ranks divide the work; all data-parallel when not written."""
    gradient_noise: NoiseMode | GradientNoise = "auto"
    """Measurement of the gradient noise scale with launch.runtime. auto: where a step hardly notices it."""
    cluster: Annotated[str, "cluster"] | Cluster | None = None
    """The machines: a name, a path, or written here; this machine when absent."""
    launch: Launch = field(default_factory=Launch)
    """How the job is started."""
    evaluation: Evaluation | None = None
    """When the script evaluates; handed to it."""
    checkpoint: Checkpoint | None = None
    """When the script saves; handed to it."""
    resume: Resume | None = None
    """How the script is told to resume."""
    seed: NonNegativeInteger = 0
    """Seed of sample order and initialisation."""

    marks: Mapping[str, Mark] = field(default_factory=dict, metadata={"internal": True}, compare=False)
    """Where each written value stands: dotted path to mark. Filled by the reader."""
    directory: str = field(default=".", metadata={"internal": True}, compare=False)
    """Folder of the recipe file; relative paths in the recipe are taken from here."""
    source: str = field(default="", metadata={"internal": True}, compare=False)
    """The recipe file's own text, kept for the run folder."""
    devices: tuple[Device, ...] = field(default=(), metadata={"internal": True}, compare=False)
    """Rows of the user's own catalogs. Filled by the reader."""
    traces: tuple[TraceFile, ...] = field(default=(), metadata={"internal": True}, compare=False)
    """Traces of model.module beside the file. Filled before planning."""
    hosts: tuple[str, ...] = field(default=(), metadata={"internal": True}, compare=False)
    """Names of cluster.hostfile, in its order. Filled before planning."""
    allocation: AllocationPlan | None = field(default=None, metadata={"internal": True}, compare=False)
    """The Slurm job that we are in, where Slurm starts the job. Filled before planning."""
    template: TemplatePlan | None = field(default=None, metadata={"internal": True}, compare=False)
    """launch.template as it was read. Filled before planning."""
    part: RecipePart | None = field(default=None, metadata={"internal": True}, compare=False)
    """The part of a run in stages that one job trains; None: the whole run."""
