"""The learning rate that a compiled schedule gives to an optimizer step. Planner, runtime and witness call this one."""

from __future__ import annotations

from launcher.planning.schedulers import trainer
from launcher.planning.schedulers.deepspeed import LAG, deepspeed_rate
from launcher.planning.schedulers.transformers import Lengths, lengths_of, scheduler_share
from launcher.spec.rates import CompiledSchedule

__all__ = ["compiled_rate", "lag_of", "lengths_given"]


def compiled_rate(compiled: CompiledSchedule, *, peak: float, step: int) -> float:
    """Learning rate that the stack gives to optimizer step k, from 1; steps that were skipped do not count.

    peak: the rate that the optimizer was built with.
    """
    if compiled.stack == "deepspeed":
        return deepspeed_rate(compiled.scheduler, compiled.arguments, peak=peak, step=step)
    index = (step - 1) * compiled.calls_per_step
    return peak * scheduler_share(compiled.scheduler, lengths_given(compiled), peak=peak, index=index)


def lengths_given(compiled: CompiledSchedule) -> Lengths:
    """Lengths in the stack's own steps, and the arguments that only this schedule has."""
    if compiled.stack == "deepspeed":
        given = compiled.arguments
        return Lengths(given["warmup_num_steps"], given.get("total_num_steps"), {})
    if compiled.stack == "trainer":
        return trainer.lengths_of(compiled.arguments)
    return lengths_of(compiled.arguments)


def lag_of(*, stack: str, scheduler: str, calls_per_step: int) -> int:
    """Optimizer steps by which a stack is behind a curve that step k reads at k batches: its first-step convention."""
    if stack == "deepspeed":
        return LAG
    if scheduler == "constant":
        return 0
    # this one counts from 1 by itself; advanced several times a step, it is behind by all of them but one
    ahead = scheduler == "cosine_warmup_with_min_lr" and calls_per_step == 1
    return 0 if ahead else 1
