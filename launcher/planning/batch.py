"""The identity global = micro x accumulation x data_parallel_size, solved exactly or refused."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from launcher.planning.batch_problems import (
    LARGEST_AUTO_MICRO_BATCH,
    both_batches,
    no_batch,
    not_divisible,
    remarks,
    tokens_not_whole,
    tokens_without_length,
)
from launcher.planning.coupling.choice import micro_batch_for_statistics, samples_needed
from launcher.planning.coupling.coupled import coupled_names
from launcher.planning.divisors import largest_divisor
from launcher.planning.layout import axes_of
from launcher.planning.memory.budget import Budget
from launcher.planning.memory.measured_budget import MeasuredBudget
from launcher.planning.model import sequence_tokens
from launcher.planning.origins import default, derived, written_or
from launcher.planning.solved import Solved
from launcher.spec.marks import Origin
from launcher.spec.plan import BatchPlan, LayoutPlan
from launcher.spec.recipe import Recipe
from launcher.units import show_bytes

__all__ = [
    "Split",
    "batch_plan",
    "data_parallel_size",
    "solve_batch",
    "solve_global_batch",
    "split_batch",
    "written_split",
]


class Split(NamedTuple):
    """Micro-batch and accumulation of every rank; slots beyond the global batch idle."""

    micro_batch_size: int
    gradient_accumulation_steps: int


def data_parallel_size(layout: LayoutPlan) -> int:
    """Ranks that train on different sequences."""
    taken = layout.tensor_parallel_size * layout.pipeline_parallel_size * layout.context_parallel_size
    return layout.world_size // taken


def written_split(recipe: Recipe) -> tuple[int | None, int | None]:
    """Micro-batch and accumulation as written; None where they are auto."""
    micro, accumulation = recipe.micro_batch_size, recipe.gradient_accumulation_steps
    return (None if micro == "auto" else micro), (None if accumulation == "auto" else accumulation)


def split_batch(
    *,
    global_batch_size: int,
    data_parallel_size: int,
    micro_batch_size: int | None = None,
    gradient_accumulation_steps: int | None = None,
    idle_slots: bool = False,
    choose: Callable[[int], int] | None = None,
) -> Split | None:
    """Micro-batch and accumulation of one global batch (sequences), None where there is none.

    Written values are kept. idle_slots: slots may stay empty; then the fewest slots that hold the batch are taken, with
    the largest micro-batch among equals. choose: micro-batch of a rank's sequences where neither is written; the
    largest divisor up to 8 when None.
    """
    micro, accumulation, ranks = micro_batch_size, gradient_accumulation_steps, data_parallel_size
    if micro is not None and accumulation is not None:
        idle = micro * accumulation * ranks - global_batch_size
        # a whole idle micro step would be a written accumulation that does nothing
        allowed = 0 <= idle < ranks * micro if idle_slots else idle == 0
        return Split(micro, accumulation) if allowed else None
    unit = ranks * (micro or 1) * (accumulation or 1)
    if global_batch_size % unit and not idle_slots:
        return None
    free = -(-global_batch_size // unit)
    if micro is not None:
        return Split(micro, free)
    if accumulation is not None:
        return Split(free, accumulation)
    best = largest_divisor(number=free, cap=LARGEST_AUTO_MICRO_BATCH) if choose is None else choose(free)
    return Split(best, free // best)


def batch_plan(
    *, split: Split, global_batch_size: int, data_parallel_size: int, sequence_length: int | None
) -> BatchPlan:
    """The batch block of one split."""
    slots = split.micro_batch_size * split.gradient_accumulation_steps * data_parallel_size
    return BatchPlan(
        global_batch_size=global_batch_size,
        micro_batch_size=split.micro_batch_size,
        gradient_accumulation_steps=split.gradient_accumulation_steps,
        data_parallel_size=data_parallel_size,
        slots_per_step=slots,
        idle_slots=slots - global_batch_size,
        sequence_length=sequence_length,
        tokens_per_step=None if sequence_length is None else global_batch_size * sequence_length,
    )


def solve_global_batch(recipe: Recipe) -> Solved[int]:
    """Sequences of one optimizer step, from whichever of the two keys is written."""
    size, tokens = recipe.global_batch_size, recipe.global_batch_tokens
    if size is not None and tokens is not None:
        return Solved(value=None, problems=(both_batches(recipe),))
    if size is not None:
        origin = written_or(recipe.marks, "global_batch_size", default())
        return Solved(value=size, origins={"batch.global_batch_size": origin})
    if tokens is None:
        return Solved(value=None, problems=(no_batch(),))
    length = sequence_tokens(recipe)
    if length is None:
        return Solved(value=None, problems=(tokens_without_length(recipe),))
    whole = tokens.number / length
    if whole.denominator != 1:
        return Solved(value=None, problems=(tokens_not_whole(recipe, length),))
    formula = f"global_batch_tokens {tokens} / sequence_length {length}"
    return Solved(value=whole.numerator, origins={"batch.global_batch_size": derived(formula)})


def solve_batch(
    *,
    recipe: Recipe,
    layout: LayoutPlan,
    global_batch_size: int,
    budget: Budget | MeasuredBudget | None = None,
) -> Solved[BatchPlan]:
    """The batch block: written values kept, the others found exactly.

    budget: decides a micro-batch that nobody wrote; without one, or where its device is a CPU, to which a larger
    micro-batch brings nothing, it is the largest divisor up to 8.
    """
    micro, accumulation = written_split(recipe)
    ranks = data_parallel_size(layout)
    split = split_batch(
        global_batch_size=global_batch_size,
        data_parallel_size=ranks,
        micro_batch_size=micro,
        gradient_accumulation_steps=accumulation,
        idle_slots=recipe.launch.runtime,
        choose=_chooser(recipe, ranks=ranks, budget=budget),
    )
    if split is None:
        refusal = not_divisible(
            recipe=recipe,
            layout=layout,
            split=(micro, accumulation),
            global_batch_size=global_batch_size,
            data_parallel_size=ranks,
        )
        return Solved(value=None, problems=(refusal,))
    plan = batch_plan(
        split=split,
        global_batch_size=global_batch_size,
        data_parallel_size=ranks,
        sequence_length=sequence_tokens(recipe),
    )
    return Solved(
        value=plan,
        problems=remarks(plan=plan, recipe=recipe, is_auto=micro is None and accumulation is None),
        origins=_origins(plan=plan, recipe=recipe, layout=layout, budget=budget),
    )


def _chooser(recipe: Recipe, *, ranks: int, budget: Budget | MeasuredBudget | None) -> Callable[[int], int]:
    """Largest divisor of a rank's sequences that fits; 1 where nothing does. Batch norm gets its samples."""
    needed = samples_needed(coupled=coupled_names(recipe), data_parallel_size=ranks)

    def choose(sequences: int) -> int:
        largest = None
        if budget is not None and budget.usable is not None:
            largest = budget.largest(sequences=sequences) or 1
            if budget.layout.device_kind != "cpu" or budget.measurement is not None:
                return largest
        if needed > 1:
            return micro_batch_for_statistics(sequences=sequences, needed=needed, largest=largest).size
        cap = LARGEST_AUTO_MICRO_BATCH if largest is None else min(largest, LARGEST_AUTO_MICRO_BATCH)
        return largest_divisor(number=sequences, cap=cap)

    return choose


def _origins(
    *, plan: BatchPlan, recipe: Recipe, layout: LayoutPlan, budget: Budget | MeasuredBudget | None
) -> dict[str, Origin]:
    marks, size, ranks = recipe.marks, plan.global_batch_size, plan.data_parallel_size
    micro, accumulation = plan.micro_batch_size, plan.gradient_accumulation_steps
    written_micro, written_accumulation = written_split(recipe)
    per_rank = micro * accumulation
    if written_micro is None and written_accumulation is None:
        usable = None if budget is None or layout.device_kind == "cpu" else budget.usable
        needed = samples_needed(coupled=coupled_names(recipe), data_parallel_size=ranks)
        if usable is not None:
            words = f"largest divisor of {per_rank} that fits {show_bytes(usable)}"
        elif needed > 1:
            words = micro_batch_for_statistics(sequences=per_rank, needed=needed, largest=micro).words
        else:
            words = f"largest divisor of {per_rank} up to {LARGEST_AUTO_MICRO_BATCH}"
        micro_formula = f"{words}; {_share(size, ranks)}"
    else:
        micro_formula = f"{_ceiling(plan)}{size} / ({accumulation} x {ranks}){')' if plan.idle_slots else ''}"
    accumulation_formula = f"{_ceiling(plan)}{size} / ({micro} x {ranks}){')' if plan.idle_slots else ''}"
    axes = axes_of(recipe.parallel)
    by = f" / {axes}" if axes.ranks_per_replica > 1 else ""
    chosen = derived(micro_formula)
    if budget is not None and budget.measurement is not None and budget.usable is not None:
        bound = f"that fits {show_bytes(budget.usable)} by a probe"
        formula = f"largest divisor of {per_rank} {bound}; {_share(size, ranks)}"
        chosen = Origin(origin="measured", formula=formula, file=budget.measurement.file)
    return {
        "batch.micro_batch_size": (chosen if written_accumulation is None else derived(micro_formula))
        if written_micro is None
        else written_or(marks, "micro_batch_size", default()),
        "batch.gradient_accumulation_steps": derived(accumulation_formula)
        if written_accumulation is None
        else written_or(marks, "gradient_accumulation_steps", default()),
        "batch.data_parallel_size": derived(f"world_size {layout.world_size}{by}"),
        "batch.slots_per_step": derived(f"{micro} x {accumulation} x {ranks}"),
        "batch.idle_slots": derived(f"slots {plan.slots_per_step} - global_batch_size {size}"),
        "batch.sequence_length": written_or(marks, "sequence_length", default()),
        "batch.tokens_per_step": derived(f"{size} x {plan.sequence_length}"),
    }


def _ceiling(plan: BatchPlan) -> str:
    return "ceil(" if plan.idle_slots else ""


def _share(size: int, ranks: int) -> str:
    shown = f"{size} / {ranks}"
    return f"{-(-size // ranks)} = {shown if size % ranks == 0 else f'ceil({shown})'}"
