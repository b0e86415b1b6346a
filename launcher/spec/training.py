"""Data, optimizer, schedule, loss and precision, as a recipe describes them."""

from dataclasses import dataclass, field
from typing import Annotated, Literal

from launcher.spec.kinds import (
    Below1,
    Count,
    CountAmount,
    Factor,
    FreeMapping,
    LengthAmount,
    NonNegative,
    Positive,
    Share,
    ShareAmount,
    Text,
)

__all__ = [
    "Checkpoint",
    "Data",
    "Evaluation",
    "Loss",
    "LossScale",
    "Optimizer",
    "Precisions",
    "Rescale",
    "Resume",
    "Scaling",
    "Schedule",
]

Dtype = Literal["fp32", "fp16", "bf16"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Data:
    """The training data, as far as the plan depends on it."""

    num_tokens: CountAmount | None = None
    """Tokens of one epoch (`300B`)."""
    num_samples: CountAmount | None = None
    """Samples of one epoch."""
    kind: Literal["map", "stream"] = "map"
    """map: indexed by number; stream: its order cannot be proven."""
    packing: Literal["packed", "padded", "none"] = "none"
    """How sequences fill sequence_length."""
    mean_length: Positive | None = None
    """Mean tokens per sample before packing or padding."""
    loss_token_fraction: Share | None = None
    """Share of the tokens that the loss counts."""
    drop_last: bool = False
    """Whether a run that the data ends drops its last, partial step."""
    paths: tuple[Text, ...] = ()
    """What every host must see."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scaling:
    """A scaling rule with its parameters."""

    rule: Literal["none", "linear", "sqrt", "capped", "saturating"]
    """Rule by which the reference learning rate follows the batch."""
    alpha: Positive | None = None
    """Exponent of capped and saturating; 0.75 when absent."""
    critical_batch_tokens: CountAmount | Literal["auto"] | None = None
    """Batch beyond which the learning rate stops growing, in tokens; auto: the Step Law's batch for this run."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rescale:
    """What else follows the batch, where a reference batch is written."""

    betas: Literal["none", "sde", "token-half-life"] = "none"
    """sde: betas and epsilon by Adam's square-root rule; token-half-life: beta2 forgets over the same tokens."""
    weight_decay: Literal["none", "timescale"] = "none"
    """timescale: AdamW averages its weights over the same share of the run."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Optimizer:
    """The optimizer, and the learning rate with the batch it was tuned at."""

    name: Literal[
        "sgd", "adam", "adamw", "adamw-8bit", "rmsprop", "lamb", "lars", "adafactor", "lion", "muon"
    ] = "adamw"
    """Which optimizer."""
    learning_rate: Positive | None = None
    """Peak learning rate, applied as written."""
    reference_learning_rate: Positive | None = None
    """Peak learning rate as tuned at the reference batch; scaled by the rule."""
    reference_batch_size: Count | None = None
    """Sequences per step at which the reference learning rate was tuned."""
    reference_batch_tokens: CountAmount | None = None
    """The same in tokens."""
    reference_sequence_length: Count | None = None
    """Tokens per sequence at the reference; sequence_length when absent. Where they differ, tokens are compared."""
    scaling: Literal["auto", "none", "linear", "sqrt"] | Scaling = "auto"
    """auto: linear for SGD, sqrt for the others."""
    rescale: Rescale = field(default_factory=Rescale)
    """Whether betas, epsilon and weight decay, written for the reference batch, follow this run's; off by default."""
    betas: tuple[Below1, Below1] | None = None
    """Decay of the first and second moment; 0.9, 0.999 when absent."""
    momentum: Below1 | None = None
    """Momentum of sgd and rmsprop; 0 when absent."""
    nesterov: bool = False
    """Nesterov momentum."""
    epsilon: Positive | None = None
    """Term in the denominator; 1e-8 when absent."""
    weight_decay: NonNegative = 0.0
    """Weight decay."""
    weight_average_decay: Below1 | None = None
    """Decay per step of a moving average of the weights, written for the reference batch; follows this run's."""
    gradient_clipping: Positive | None = None
    """Largest global gradient norm; absent: no clipping."""
    implementation: Literal["auto", "foreach", "fused", "for-loop"] = "auto"
    """How the step is computed."""
    owner: Literal["script", "engine"] = "script"
    """script: the training script builds it; engine: rendered for DeepSpeed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """Learning rate over the run, and the length of the run."""

    warmup: ShareAmount | Literal["auto"] | None = None
    """Length of the linear warmup; auto: what beta2 needs, at least 1 % and at most 10 % of the run."""
    warmup_keeps: Literal["unit", "steps", "samples", "tokens"] = "unit"
    """What stays constant when the batch differs from the reference."""
    decay: Literal["constant", "linear", "cosine", "polynomial", "inverse-sqrt", "wsd", "step"] = "constant"
    """Shape after the warmup."""
    decay_length: ShareAmount | None = None
    """Length of the decay of wsd; time scale of inverse-sqrt, the samples at which it begins when absent."""
    decay_shape: Literal["linear", "sqrt", "cosine"] = "linear"
    """Shape of the decay of wsd."""
    decay_power: Positive = 1.0
    """Exponent of polynomial: (1 - share of the decay) to this power."""
    decay_starts: ShareAmount | None = None
    """Where the decay begins, and its peak holds until; the warmup's end when absent, may lie before it."""
    decay_ends: ShareAmount | None = None
    """Where the decay reaches its final rate, before or behind the end of the run; that end when absent."""
    decay_at: tuple[ShareAmount, ...] = ()
    """Marks behind which the rate is multiplied by decay_factor, for step or on top of another decay."""
    decay_factor: Factor | tuple[Factor, ...] = 0.1
    """Factor at every mark of decay_at, or a list with one for each; they multiply on."""
    length: LengthAmount | None = None
    """Length of the run."""
    final_learning_rate_ratio: Share = 0.0
    """Learning rate at the end over the peak."""
    clock: Literal["auto", "samples", "tokens"] = "auto"
    """What the learning rate is a function of. auto: tokens where stages change the sequence length, else samples."""
    first_step: Literal["one-batch", "zero"] = "one-batch"
    """one-batch: the step that brings the count to s trains at f(s); zero: at f of the count before."""
    warmup_shape: Literal["linear", "log"] = "linear"
    """log: DeepSpeed's own logarithmic warmup, for engine:NAME only."""
    owner: Literal["auto", "runtime", "script"] | Annotated[str, "schedule owner"] = "auto"
    """runtime, script, script:NAME or engine:NAME. auto: the runtime where the script uses it, else the script."""
    arguments: FreeMapping = field(default_factory=dict)
    """What script:NAME or engine:NAME is given over the plan's own, by that stack's names; the curve must stay."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LossScale:
    """Loss scaling for fp16."""

    initial: Positive | None = None
    """First scale of a dynamic one."""
    static: Positive | None = None
    """A fixed scale instead."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Precisions:
    """Number formats, where they are not to follow from engine and implementation."""

    compute: Literal["fp32", "fp16", "bf16", "fp8"]
    """What the model computes in."""
    parameter_dtype: Dtype | None = None
    """What parameters are stored in."""
    gradient_dtype: Dtype | None = None
    """What gradients are stored in."""
    reduce_dtype: Dtype | None = None
    """What gradients are averaged in."""
    master_weights: bool | None = None
    """Whether the optimizer keeps fp32 weights."""
    autocast: bool | None = None
    """Whether layers are cast one by one."""
    loss_scale: LossScale | None = None
    """Loss scaling."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Loss:
    """The loss, and what it is averaged over."""

    kind: Literal["cross_entropy", "mse", "contrastive", "policy_gradient", "custom"] = "cross_entropy"
    """Which loss; policy_gradient: reinforcement learning, where the global batch is the minibatch of one step."""
    weighting: Literal["tokens", "sequences", "samples"] = "tokens"
    """What counts once in the mean over the global batch."""
    logits: Literal["full", "chunked", "fused"] = "full"
    """How logits are held."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """When the script evaluates."""

    every: LengthAmount | None = None
    """Interval."""
    batch_size: Count | None = None
    """Sequences per forward pass on one rank."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """When the script saves."""

    every: LengthAmount | None = None
    """Interval."""
    directory: Text = "checkpoints"
    """Folder, in the run folder unless absolute."""
    keep: Count | None = None
    """How many are kept."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Resume:
    """How the script is told to resume."""

    args: tuple[str, ...] = ()
    """Further arguments of a start that is not the first; `{latest_checkpoint}` is what was saved last."""
