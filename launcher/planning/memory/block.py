"""The memory block of a plan: verdict, numbers, remarks and ways out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from launcher.errors import Problem
from launcher.planning.memory.beside_training import evaluation_bytes, save_bytes
from launcher.planning.memory.budget import Budget
from launcher.planning.memory.estimate import Estimate
from launcher.planning.memory.measured_budget import MeasuredBudget
from launcher.planning.memory.remarks import memory_remarks, ran_out, stale_probe, unknown_memory
from launcher.planning.memory.verdict import memory_plan, verdict_of
from launcher.spec.cluster import Cluster
from launcher.spec.measurement import Measurement
from launcher.spec.plan import Alternative, BatchPlan, LayoutPlan, MemoryPlan, Verdict
from launcher.spec.recipe import Recipe

__all__ = ["MemoryBlock", "solve_memory"]


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryBlock:
    """What memory has to say of a plan; `plan` is None where the model's dimensions are not known."""

    verdict: Verdict = "unknown-memory"
    plan: MemoryPlan | None = None
    problems: tuple[Problem, ...] = ()
    find_ways_out: Callable[[], tuple[Alternative, ...]] = tuple
    """Tries every way out, which takes longer than all the rest; of many stages only one is asked."""


def solve_memory(
    *,
    recipe: Recipe,
    cluster: Cluster,
    layout: LayoutPlan,
    batch: BatchPlan,
    budget: Budget | MeasuredBudget | None,
    measurements: Sequence[Measurement] = (),
) -> MemoryBlock:
    """Peak memory of the rank that needs most, and what can give way where it does not fit."""
    if budget is None:
        return MemoryBlock(problems=unknown_memory(recipe, layout))
    if isinstance(budget, MeasuredBudget):
        return _measured(recipe, layout, batch, budget)
    micro, accumulation = batch.micro_batch_size, batch.gradient_accumulation_steps
    estimate = budget.estimate(micro_batch_size=micro, gradient_accumulation_steps=accumulation)
    verdict = verdict_of(estimate=estimate, usable=budget.usable)
    share = batch.slots_per_step // batch.data_parallel_size
    plan = memory_plan(
        estimate=estimate,
        layout=layout,
        cluster=cluster,
        max_micro_batch_size=None if budget.usable is None else budget.largest(sequences=share),
        load_bytes=budget.load_bytes,
        evaluation_peak_bytes=_evaluation(recipe, budget, estimate, micro),
        save_peak_bytes=save_bytes(
            network=budget.network,
            setting=budget.setting(micro_batch_size=micro, gradient_accumulation_steps=accumulation),
            training=estimate,
        ),
    )
    if budget.measurement is not None:
        plan = replace(plan, usable_bytes=budget.usable)
        if estimate.evidence == budget.measurement.words:
            predicted = budget.predicted(micro_batch_size=micro, gradient_accumulation_steps=accumulation)
            plan = replace(plan, predicted_bytes=predicted.device.expected)
    find_ways_out: Callable[[], tuple[Alternative, ...]] = tuple
    if verdict == "does-not-fit":
        find_ways_out = partial(
            _ways_out,
            recipe=recipe,
            cluster=cluster,
            layout=layout,
            batch=batch,
            budget=budget,
            measurements=measurements,
        )
    return MemoryBlock(
        verdict=verdict,
        plan=plan,
        problems=(
            *memory_remarks(recipe=recipe, plan=plan, verdict=verdict, batch=batch),
            *stale_probe(budget.stale),
        ),
        find_ways_out=find_ways_out,
    )


def _ways_out(**known: Any) -> tuple[Alternative, ...]:
    from launcher.planning.memory.ways_out import find_ways_out

    return find_ways_out(**known)


def _measured(recipe: Recipe, layout: LayoutPlan, batch: BatchPlan, budget: MeasuredBudget) -> MemoryBlock:
    """What a probe alone tells."""
    verdict, plan = budget.verdict(batch), budget.plan(batch)
    known: tuple[Problem, ...] = ()
    if plan is not None:
        known = memory_remarks(recipe=recipe, plan=plan, verdict=verdict, batch=batch)
    elif verdict == "does-not-fit" and budget.measurement is not None:
        known = (ran_out(budget.measurement, batch),)
    unknown = unknown_memory(recipe, layout) if verdict == "unknown-memory" else ()
    problems = (*known, *unknown, *stale_probe(budget.stale))
    return MemoryBlock(verdict=verdict, plan=plan, problems=problems)


def _evaluation(recipe: Recipe, budget: Budget, training: Estimate, micro_batch_size: int) -> int | None:
    """Peak of the evaluation that the recipe names, None where it names none."""
    if recipe.evaluation is None:
        return None
    size = recipe.evaluation.batch_size or micro_batch_size
    setting = budget.setting(micro_batch_size=size, gradient_accumulation_steps=1)
    return evaluation_bytes(network=budget.network, setting=setting, training=training)
