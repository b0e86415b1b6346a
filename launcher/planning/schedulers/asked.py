"""The curve that a recipe asks for, step by step, with its lengths in whole steps."""

from __future__ import annotations

import math
from dataclasses import dataclass

from launcher.planning.learning_rate import learning_rate_at, learning_rate_of_step
from launcher.spec.rates import SchedulePlan

__all__ = ["Asked", "asked_of"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """Lengths in optimizer steps, rounded up."""

    schedule: SchedulePlan
    global_batch_size: int
    warmup_steps: int
    decay_steps: int | None
    """Length of the decay of wsd; time scale of inverse-sqrt."""
    total_steps: int | None
    last_step_samples: int | None
    final_ratio: float
    """Learning rate at the end over the peak, as written."""

    @property
    def peak(self) -> float:
        """Highest learning rate of the curve."""
        return self.schedule.peak_learning_rate

    @property
    def decay(self) -> str:
        """Shape after the warmup: one that ends at the peak is none, a power of 1 is linear, marks are step."""
        schedule = self.schedule
        if schedule.decay_marks:
            return "step"
        if schedule.final_learning_rate == self.peak:
            return "constant"
        return "linear" if (schedule.decay, schedule.decay_power) == ("polynomial", 1) else schedule.decay

    @property
    def decay_in_words(self) -> str:
        """What of the recipe a stack with another shape cannot draw."""
        marked = self.schedule.decay_marks and self.schedule.decay != "step"
        return "`schedule.decay_at` is written" if marked else f"`schedule.decay` is {self.decay}"

    @property
    def end_steps(self) -> int | None:
        """Optimizer step at which the decay ends: the run's last where nothing else is written; None without an end."""
        end = self.schedule.decay_end_samples
        return self.total_steps if end is None else math.ceil(end / self.global_batch_size)

    @property
    def corners(self) -> tuple[int, ...]:
        """Optimizer steps at which the decay bends, where somebody wrote a place."""
        schedule = self.schedule
        written = (schedule.decay_begin_samples, schedule.decay_end_samples, *schedule.decay_marks)
        return tuple(math.ceil(at / self.global_batch_size) for at in written if at is not None)

    @property
    def is_log(self) -> bool:
        """Whether a logarithmic warmup is asked for."""
        return self.schedule.warmup_shape == "log"

    def samples_after(self, step: int) -> int:
        """Samples seen once optimizer step k is done."""
        is_last = step == self.total_steps and self.last_step_samples is not None
        held = self.last_step_samples if is_last else None
        return (step - 1) * self.global_batch_size + (self.global_batch_size if held is None else held)

    def rate(self, step: int) -> float:
        """Learning rate asked for optimizer step k."""
        after = self.samples_after(step)
        held = after - (step - 1) * self.global_batch_size
        return learning_rate_of_step(schedule=self.schedule, samples_after=after, global_batch_size=held)

    def behind(self, step: int, lag: int) -> float:
        """The curve read at k - lag batches: what a stack that is so far behind should use in step k."""
        return learning_rate_at(schedule=self.schedule, samples=max(0, step - lag) * self.global_batch_size)


def asked_of(
    schedule: SchedulePlan,
    *,
    global_batch_size: int,
    total_steps: int | None,
    last_step_samples: int | None,
    final_ratio: float,
) -> Asked:
    """The curve of a schedule that counts samples, at one global batch."""
    decay = schedule.decay_samples
    return Asked(
        schedule=schedule,
        global_batch_size=global_batch_size,
        warmup_steps=math.ceil(schedule.warmup_samples / global_batch_size),
        decay_steps=None if decay is None else math.ceil(decay / global_batch_size),
        total_steps=total_steps,
        last_step_samples=last_step_samples,
        final_ratio=final_ratio,
    )
