"""What a factor between the learning rate that was found and the one that was planned gives away. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from launcher.spec.plan import RunPlan

__all__ = ["Cause", "factor_in_words", "second_scalings", "unscaled"]


class Cause(NamedTuple):
    """A factor that a script may have put on the planned rate, and the habit it comes from."""

    factor: float
    words: str

    def explains(self, *, planned: float, found: float, tolerance: float) -> bool:
        """Whether the rate found is the planned one times this factor."""
        return math.isclose(found, planned * self.factor, rel_tol=tolerance)


def second_scalings(plan: RunPlan) -> tuple[Cause, ...]:
    """Factors that scale a planned rate once more, each different from 1: ours again, or the number of processes.

    Source: times the processes, huggingface/accelerate@312f015 docs/source/concept_guides/performance.md.
    """
    return tuple(cause for cause in _by_processes(plan) if not math.isclose(cause.factor, 1.0))


def unscaled(plan: RunPlan) -> Cause | None:
    """The factor that undoes the plan's scaling; None where nothing is scaled."""
    rates = plan.learning_rate
    if rates is None or rates.reference_learning_rate is None or math.isclose(rates.scale, 1.0):
        return None
    return Cause(1 / rates.scale, "the script applies the reference learning rate, which the plan has scaled")


def factor_in_words(*, planned: float, found: float, plan: RunPlan, tolerance: float = 1e-4) -> str:
    """`found is 2x planned: the script multiplies by the number of processes`; empty where no habit explains it."""
    if planned <= 0 or found <= 0:
        return ""
    undone = unscaled(plan)
    known = (*second_scalings(plan), *(() if undone is None else (undone,)), *_by_batch(plan))
    words = [
        cause.words for cause in known if cause.explains(planned=planned, found=found, tolerance=tolerance)
    ]
    return f"found is {found / planned:.4g}x planned: {', or '.join(words)}" if words else ""


def _by_processes(plan: RunPlan) -> Iterator[Cause]:
    world, data = plan.layout.world_size, plan.batch.data_parallel_size
    yield Cause(world, "the script multiplies by the number of processes")
    yield Cause(math.sqrt(world), "the script multiplies by the square root of the number of processes")
    if data != world:
        yield Cause(data, "the script multiplies by the data-parallel size")
        yield Cause(math.sqrt(data), "the script multiplies by the square root of the data-parallel size")
    if plan.learning_rate is not None:
        rule = plan.learning_rate.scaling_rule
        yield Cause(
            plan.learning_rate.scale, f"the script scales by the {rule} rule what the plan has scaled"
        )


def _by_batch(plan: RunPlan) -> Iterator[Cause]:
    """Source: `--scale_lr` of huggingface/diffusers examples: accumulation x micro-batch x processes."""
    accumulation, data = plan.batch.gradient_accumulation_steps, plan.batch.data_parallel_size
    if accumulation > 1:
        yield Cause(accumulation, "the script multiplies by the accumulation steps")
        if data > 1:
            yield Cause(accumulation * data, "the script multiplies by accumulation steps and processes")
    if plan.batch.micro_batch_size > 1:
        yield Cause(plan.batch.slots_per_step, "the script multiplies by the whole batch")
