"""What is worth knowing of a memory estimate, in words."""

from __future__ import annotations

from launcher.errors import Problem
from launcher.planning.coupling.coupled import coupled_names
from launcher.planning.memory.trace_choice import choose_trace
from launcher.spec.measurement import Measurement
from launcher.spec.plan import BatchPlan, LayoutPlan, MemoryPlan, Verdict
from launcher.spec.recipe import Recipe
from launcher.units import show_bytes

__all__ = ["memory_remarks", "ran_out", "stale_probe", "unknown_memory"]

_DOMINANT = 0.4
"""Share of the peak from which one part is worth a word."""


def memory_remarks(
    *, recipe: Recipe, plan: MemoryPlan, verdict: Verdict, batch: BatchPlan
) -> tuple[Problem, ...]:
    """Notes and warnings of an estimate that exists."""
    found = []
    if verdict == "does-not-fit" and plan.usable_bytes is not None:
        found.append(_does_not_fit(recipe, plan, plan.usable_bytes, batch))
    if verdict == "tight" and plan.usable_bytes is not None:
        found.append(_tight(plan, plan.usable_bytes))
    logits = plan.components.get("logits", 0)
    scarce = plan.usable_bytes is not None and plan.device != "cpu"
    if scarce and recipe.loss.logits == "full" and logits > _DOMINANT * plan.peak_bytes:
        found.append(_logits(plan, logits))
    buffers = plan.components.get("communication_buffers", 0)
    if scarce and buffers > _DOMINANT * plan.peak_bytes:
        found.append(_buffers(plan, buffers))
    return tuple(found)


def unknown_memory(recipe: Recipe, layout: LayoutPlan) -> tuple[Problem, ...]:
    """Why there is no estimate at all."""
    if recipe.model.kind != "module" or recipe.model.module is None:
        return ()
    return choose_trace(recipe=recipe, layout=layout)[1]


def ran_out(measurement: Measurement, batch: BatchPlan) -> Problem:
    """A micro-batch that is known not to fit, and nothing else of it."""
    fitting = [trial.micro_batch_size for trial in measurement.trials if trial.outcome == "fits"]
    return Problem(
        code="does-not-fit",
        severity="warning",
        path="micro_batch_size",
        message=f"micro-batch {batch.micro_batch_size} is at least as large as one that did not fit",
        because=(measurement.words,),
        hint=f"the largest that fitted is {max(fitting)}" if fitting else "none that was tried fitted",
    )


def stale_probe(measurement: Measurement | None) -> tuple[Problem, ...]:
    """A measurement that is no longer of this code."""
    if measurement is None:
        return ()
    names = ", ".join(f"`{name}`" for name in measurement.changed[:3])
    more = " and others" if len(measurement.changed) > 3 else ""
    return (
        Problem(
            code="probe-stale",
            severity="note",
            path="launch.script",
            message=f"the {measurement.words}, is not used: {names}{more} changed since",
            because=(f"measured in {measurement.file}",),
            hint="run batchwright probe on this recipe again",
        ),
    )


def _does_not_fit(recipe: Recipe, plan: MemoryPlan, usable: int, batch: BatchPlan) -> Problem:
    path = "micro_batch_size" if recipe.micro_batch_size != "auto" else "global_batch_size"
    largest, coupled = plan.max_micro_batch_size, ", ".join(coupled_names(recipe))
    another = f", which is another model ({coupled})" if coupled else ""
    hint = (
        "no micro-batch fits; see the ways out"
        if largest is None
        else f"the largest micro-batch that fits is {largest}{another}"
    )
    return Problem(
        code="does-not-fit",
        severity="warning",
        path=path,
        message=f"micro-batch {batch.micro_batch_size} takes {show_bytes(plan.peak_bytes)} of the "
        f"{show_bytes(usable)} that {plan.device} leaves",
        because=(f"{_phase(plan)}; {_largest(plan)}",),
        hint=hint,
    )


def _tight(plan: MemoryPlan, usable: int) -> Problem:
    return Problem(
        code="memory-tight",
        severity="note",
        path="micro_batch_size",
        message=f"the expected {show_bytes(plan.peak_bytes)} fit into {show_bytes(usable)}, "
        f"the worst {show_bytes(plan.high_bytes)} do not",
        hint="try it with batchwright probe, or leave more room",
    )


def _logits(plan: MemoryPlan, logits: int) -> Problem:
    return Problem(
        code="logits-dominate",
        severity="note",
        path="loss.logits",
        message=f"logits and loss are {show_bytes(logits)} of the {show_bytes(plan.peak_bytes)} at the peak",
        hint="a loss that never holds them all (loss.logits: chunked or fused) saves most of that",
    )


def _buffers(plan: MemoryPlan, buffers: int) -> Problem:
    return Problem(
        code="buffers-dominate",
        severity="note",
        path="parallel.data",
        message=f"communication buffers are {show_bytes(buffers)} of the {show_bytes(plan.peak_bytes)} at the peak",
        hint="for a model this small a lower stage, or plain ddp, takes less",
    )


def _phase(plan: MemoryPlan) -> str:
    if plan.peak_phase is None:
        return plan.evidence
    names = {
        "forward-end": "the start of the backward pass",
        "backward": "the backward pass",
        "optimizer-step": "the optimizer step",
    }
    stage = f" of pipeline stage {plan.peak_stage}" if len(plan.per_stage) > 1 else ""
    return f"peak at {names[plan.peak_phase]}{stage}"


def _largest(plan: MemoryPlan) -> str:
    """The three largest parts: `activations 12.1, logits 6.0, parameters 2.3 GiB`."""
    parts = sorted(plan.components.items(), key=lambda part: -part[1])[:3]
    return ", ".join(f"{name.replace('_', ' ')} {size / 2**30:.1f}" for name, size in parts) + " GiB"
