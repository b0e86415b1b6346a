"""The learning rate as it was decided: the curve, its lengths, and the words in which another stack is told of it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any, Literal

__all__ = ["CompiledSchedule", "Decay", "LearningRatePlan", "SchedulePlan"]

Decay = Literal["constant", "linear", "cosine", "polynomial", "inverse-sqrt", "wsd", "step"]
"""Shape of the learning rate after the warmup."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SchedulePlan:
    """The learning rate as a function of samples; lengths are exact (`375000000/2048`)."""

    peak_learning_rate: float
    start_learning_rate: float
    """At zero samples: 0, or the reference learning rate for SGD scaled up linearly."""
    final_learning_rate: float
    """Where the decay ends, before what marks take off."""
    warmup_samples: Fraction
    decay: Decay
    decay_samples: Fraction | None
    """Length of the decay of wsd; time scale of inverse-sqrt."""
    decay_shape: Literal["linear", "sqrt", "cosine"]
    total_samples: Fraction | None
    first_step: Literal["one-batch", "zero"]
    clock: Literal["samples", "tokens"] = "samples"
    """What the rate is a function of. tokens: a sample above is `sequence_length` tokens, whatever a stage's length."""
    sequence_length: int | None = None
    """Tokens that count as one sample on the clock of tokens; None on that of samples."""
    warmup_shape: Literal["linear", "log"] = "linear"
    warmup_step_samples: int | None = None
    """Samples of one step of a logarithmic warmup, which is a function of steps; None for a linear one."""
    decay_power: float = 1.0
    """Exponent of polynomial."""
    decay_begin_samples: Fraction | None = None
    """Where the decay begins; None: at the warmup's end."""
    decay_end_samples: Fraction | None = None
    """Where the decay ends, before or behind the end of the run; None: there."""
    decay_marks: tuple[Fraction, ...] = ()
    """Samples behind which a share of the curve is left."""
    decay_shares: tuple[float, ...] = ()
    """Of the curve, behind each mark."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CompiledSchedule:
    """A schedule in another stack's words and units, and how far the curve it draws is from the one asked for."""

    stack: Literal["deepspeed", "transformers", "trainer", "accelerate"]
    scheduler: str
    """Its name there: WarmupDecayLR, cosine."""
    arguments: Mapping[str, Any]
    """What it is given, by that stack's own names."""
    handed: Mapping[str, Any] = field(default_factory=dict)
    """What the script hands to Accelerate's DummyScheduler, so that DeepSpeed gets `arguments`; else empty."""
    calls_per_step: int = 1
    """How often the stack advances the scheduler in one optimizer step."""
    lag_steps: int = 0
    """Optimizer steps by which the stack's first-step convention is behind the plan's."""
    largest_difference: float = 0.0
    """Over all steps, of the peak, once the lag is taken out."""
    asked_curve: tuple[tuple[int, float], ...] = ()
    """The curve that was asked for, at the steps of `curve`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LearningRatePlan:
    """Peak, warmup, length and curve."""

    scaling_rule: str
    scale: float
    reference_learning_rate: float | None
    reference_batch: int | None = None
    """Batch at which the reference rate was tuned, in `reference_unit`, floored; None where nothing is scaled."""
    reference_unit: Literal["samples", "tokens"] | None = None
    """What batches were compared in: tokens where one is written in tokens, or the sequence length differs."""
    batch_ratio: float | None = None
    """This run's batch over the reference batch, dimensionless."""
    reason: str = ""
    """What was done to the learning rate, and why."""
    peak_learning_rate: float
    final_learning_rate: float
    warmup_samples: int
    warmup_steps: int
    total_steps: int | None
    total_samples: int | None
    owner: str
    curve: tuple[tuple[int, float], ...]
    """[samples after the step, learning rate of that step], at the steps worth seeing."""
    schedule: SchedulePlan
    """The curve that was asked for; what is trained, too, unless `compiled` is there."""
    compiled: CompiledSchedule | None = None
    """How another stack was told to draw the curve, when it is the one that applies it; `curve` is then its own."""
