"""What was decided: every number of the run. Written as plan.json; read back by engines, runtime and witness.

Blocks that are not built yet are None. Sizes in sequences, tokens, bytes or seconds, as each name says.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from launcher.errors import Problem
from launcher.spec.catalog import Device
from launcher.spec.marks import Origin
from launcher.spec.parts import PartPlan
from launcher.spec.place import LaunchPlan
from launcher.spec.rates import CompiledSchedule, LearningRatePlan, SchedulePlan

__all__ = [
    "Alternative",
    "BatchPlan",
    "CompiledSchedule",
    "LaunchPlan",
    "LayoutPlan",
    "LearningRatePlan",
    "MemoryPlan",
    "ModelPlan",
    "OptimizerPlan",
    "PartPlan",
    "PrecisionPlan",
    "RunPlan",
    "SchedulePlan",
    "StageMemory",
    "StagePlan",
    "Verdict",
]

Verdict = Literal["fits", "tight", "does-not-fit", "unknown-memory", "refused"]


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchPlan:
    """global_batch_size + idle_slots = micro_batch_size x gradient_accumulation_steps x data_parallel_size."""

    global_batch_size: int
    micro_batch_size: int
    gradient_accumulation_steps: int
    data_parallel_size: int
    slots_per_step: int
    idle_slots: int
    sequence_length: int | None
    """Tokens per sequence; input plus target for an encoder-decoder."""
    tokens_per_step: int | None
    per_rank: tuple[int, ...] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class LayoutPlan:
    """Ranks along every axis."""

    world_size: int
    num_nodes: int
    devices_per_node: int
    tensor_parallel_size: int
    pipeline_parallel_size: int
    context_parallel_size: int
    expert_parallel_size: int
    data_strategy: Literal["ddp", "zero", "fsdp"]
    zero_stage: int | None
    """0-3 with zero, 2-3 with fsdp (the ZeRO stage it corresponds to), None with ddp."""
    offload: Literal["none", "optimizer", "parameters"] = "none"
    device: str = "cpu"
    own_device: Device | None = field(default=None, metadata={"internal": True}, compare=False)
    """Its row, where it is of the user's own catalog."""
    device_kind: Literal["cpu", "cuda", "rocm", "hpu"] = "cpu"
    backend: str = "gloo"
    devices: tuple[int, ...] | None = None
    """Device numbers of each node, when the recipe names them."""
    fsdp_version: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelPlan:
    """Dimensions, derived ones filled in."""

    kind: str
    hidden_size: int | None
    num_layers: int | None
    num_attention_heads: int | None
    num_key_value_heads: int | None
    head_dim: int | None
    intermediate_size: int | None
    vocab_size: int | None
    num_parameters: int | None = None
    num_active_parameters: int | None = None
    num_trainable_parameters: int | None = None
    batch_coupled: tuple[str, ...] = ()
    dropout: float = 0.0
    others: Mapping[str, Any] = field(default_factory=dict)
    """Further written keys of `model`, as written."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OptimizerPlan:
    """The optimizer's settings as they are passed on."""

    name: str
    owner: Literal["script", "engine"]
    betas: tuple[float, float]
    momentum: float
    nesterov: bool
    epsilon: float
    weight_decay: float
    gradient_clipping: float | None
    implementation: str = "auto"
    weight_average_decay: float | None = None
    """Decay per step of a moving average of the weights."""
    weight_decay_timescale: float | None = None
    """Share of the run over which AdamW averages its weights; None where the run's tokens are not known."""
    reference_timescale: float | None = None
    """The same at the reference batch and learning rate."""
    at_reference: Mapping[str, Any] | None = None
    """What was written for the reference batch, of those above that were rescaled; None where nothing was."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PrecisionPlan:
    """What the model computes in, and what was written about the rest."""

    compute: Literal["fp32", "fp16", "bf16", "fp8"]
    parameter_dtype: str | None = None
    gradient_dtype: str | None = None
    reduce_dtype: str | None = None
    master_weights: bool | None = None
    autocast: bool | None = None
    loss_scale_initial: float | None = None
    loss_scale_static: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class StageMemory:
    """One pipeline stage."""

    stage: int
    allocated_bytes: int
    peak_phase: Literal["forward-end", "backward", "optimizer-step"]
    components: Mapping[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryPlan:
    """Memory of the rank that needs most, in bytes."""

    device: str
    capacity_bytes: int | None
    """As sold."""
    usable_bytes: int | None
    """What the driver leaves, less the cluster's reserve; None where nobody knows."""
    allocated_bytes: int
    """What torch.cuda.max_memory_allocated would say."""
    reserved_bytes: int
    """What the caching allocator holds."""
    peak_bytes: int
    """All that the device must hold."""
    low_bytes: int
    high_bytes: int
    bands: Mapping[str, tuple[int, int]]
    """allocated, reserved, peak: lowest and highest expected."""
    peak_phase: Literal["forward-end", "backward", "optimizer-step"] | None
    """None where the peak is measured and nothing else is known."""
    peak_stage: int
    per_stage: tuple[StageMemory, ...]
    components: Mapping[str, int]
    """Parts of peak_bytes; they add up to it."""
    max_micro_batch_size: int | None
    """Largest divisor of a rank's sequences whose high_bytes fits; None where none does or the limit is unknown."""
    host: Mapping[str, int]
    """load_bytes, offload_bytes: of one node."""
    evaluation_peak_bytes: int | None
    save_peak_bytes: int | None
    evidence: str
    """ledger, trace or probe, and which."""
    predicted_bytes: int | None = None
    """What the model says of peak_bytes where a probe has measured; None where none has."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StagePlan:
    """One stage of a run whose batch or sequence length changes on the way."""

    until: str | None
    """Where it ends, as written; None for the last one."""
    first_step: int
    """Number of its first optimizer step, counted from 1 over the whole run."""
    steps: int | None
    """Its optimizer steps; None for a last one without an end."""
    samples_before: int
    """Sequences that the stages before it consume."""
    tokens_before: int | None
    batch: BatchPlan
    learning_rate_scale: float = 1.0
    """Factor on the learning rate of the curve."""
    memory: MemoryPlan | None = None
    time: None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Alternative:
    """A way out: what to change, what that keeps and what it alters."""

    change: str
    """A `--set` argument or a key to write: `global_batch_size=992`."""
    keeps: tuple[str, ...]
    changes: tuple[str, ...]
    batch: BatchPlan
    memory: Mapping[str, Any] | None = None
    time: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RunPlan:
    """The whole plan."""

    plan_version: int = 1
    recipe_name: str
    semantics_hash: str
    plan_hash: str
    verdict: Verdict
    problems: tuple[Problem, ...]
    alternatives: tuple[Alternative, ...]
    batch: BatchPlan
    layout: LayoutPlan
    model: ModelPlan
    optimizer: OptimizerPlan
    precision: PrecisionPlan
    learning_rate: LearningRatePlan | None
    memory: MemoryPlan | None = None
    time: None = None
    stages: tuple[StagePlan, ...] | None = None
    """None where the recipe has none: `batch` is then that of every step, else the one at which the curve peaks."""
    part: PartPlan | None = None
    """Which stages this job trains, where the run needs a restart between two of them; else None."""
    launch: LaunchPlan
    data: Mapping[str, Any]
    """num_samples (int or None), kind, drop_last, total_samples (int or None: samples of the run), packing ..."""
    loss: Mapping[str, Any]
    """kind, weighting, logits."""
    activation_checkpointing: str
    attention: str
    compile: bool
    evaluation: Mapping[str, Any] | None
    """every_steps, batch_size."""
    checkpoint: Mapping[str, Any] | None
    """every_steps, directory, keep."""
    gradient_noise: Mapping[str, Any] | None = None
    """asked, way (None: not measured), every_steps, decay, because (why it is not measured)."""
    seed: int
    applied_by: Mapping[str, str]
    """Setting to `engine`, `argument`, `runtime` or `script-must`."""
    origins: Mapping[str, Origin]
    meaning: Mapping[str, Any] = field(default_factory=dict, metadata={"internal": True}, compare=False)
    """What semantics_hash is of, part by part; not part of plan.json."""

    def to_dict(self) -> dict[str, Any]:
        """The plan as plain values, as plan.json holds it."""
        from launcher.spec.plain import to_plain

        plain = to_plain(self)
        assert isinstance(plain, dict)
        return plain
