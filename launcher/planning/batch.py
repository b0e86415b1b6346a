"""The identity global = micro x accumulation x data_parallel_size, solved exactly or refused."""

from __future__ import annotations

from typing import NamedTuple

from launcher.errors import Problem
from launcher.planning.layout import axes_of
from launcher.planning.model import sequence_tokens
from launcher.planning.origins import default, derived, written_or
from launcher.planning.solved import Solved
from launcher.spec.marks import Origin
from launcher.spec.plan import BatchPlan, LayoutPlan
from launcher.spec.recipe import Recipe

__all__ = [
    "LARGEST_AUTO_MICRO_BATCH",
    "Split",
    "batch_plan",
    "data_parallel_size",
    "largest_divisor",
    "solve_batch",
    "solve_global_batch",
    "split_batch",
    "written_split",
]

LARGEST_AUTO_MICRO_BATCH = 8
"""Cap of a micro-batch nobody wrote, in sequences: until memory is planned, small enough to fit where a model fits at
all, large enough that 8 sequences of a short context still fill a matrix multiplication."""


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


def largest_divisor(*, number: int, cap: int) -> int:
    """Largest divisor of a number that is at most `cap`."""
    return next(candidate for candidate in range(min(number, cap), 0, -1) if number % candidate == 0)


def split_batch(
    *,
    global_batch_size: int,
    data_parallel_size: int,
    micro_batch_size: int | None = None,
    gradient_accumulation_steps: int | None = None,
    idle_slots: bool = False,
) -> Split | None:
    """Micro-batch and accumulation of one global batch (sequences), None where there is none.

    Written values are kept. idle_slots: slots may stay empty; then the fewest slots that hold the batch are taken, with
    the largest micro-batch among equals.
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
    best = largest_divisor(number=free, cap=LARGEST_AUTO_MICRO_BATCH)
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
        return Solved(value=None, problems=(_both_batches(recipe),))
    if size is not None:
        origin = written_or(recipe.marks, "global_batch_size", default())
        return Solved(value=size, origins={"batch.global_batch_size": origin})
    if tokens is None:
        return Solved(value=None, problems=(_no_batch(),))
    length = sequence_tokens(recipe)
    if length is None:
        return Solved(value=None, problems=(_tokens_without_length(recipe),))
    whole = tokens.number / length
    if whole.denominator != 1:
        return Solved(value=None, problems=(_tokens_not_whole(recipe, length),))
    formula = f"global_batch_tokens {tokens} / sequence_length {length}"
    return Solved(value=whole.numerator, origins={"batch.global_batch_size": derived(formula)})


def solve_batch(*, recipe: Recipe, layout: LayoutPlan, global_batch_size: int) -> Solved[BatchPlan]:
    """The batch block: written values kept, the others found exactly."""
    micro, accumulation = written_split(recipe)
    ranks = data_parallel_size(layout)
    split = split_batch(
        global_batch_size=global_batch_size,
        data_parallel_size=ranks,
        micro_batch_size=micro,
        gradient_accumulation_steps=accumulation,
        idle_slots=recipe.launch.runtime,
    )
    if split is None:
        refusal = _not_divisible(recipe=recipe, layout=layout, global_batch_size=global_batch_size)
        return Solved(value=None, problems=(refusal,))
    plan = batch_plan(
        split=split,
        global_batch_size=global_batch_size,
        data_parallel_size=ranks,
        sequence_length=sequence_tokens(recipe),
    )
    return Solved(
        value=plan, problems=_remarks(plan, recipe), origins=_origins(plan=plan, recipe=recipe, layout=layout)
    )


def batch_key(recipe: Recipe) -> str:
    """The key that says how large the batch is, and its value as written."""
    if recipe.global_batch_tokens is not None and recipe.global_batch_size is None:
        return f"global_batch_tokens: {recipe.global_batch_tokens}"
    return f"global_batch_size: {recipe.global_batch_size}"


def batch_path(recipe: Recipe) -> str:
    """Path of the key that says how large the batch is."""
    return batch_key(recipe).partition(":")[0]


def _both_batches(recipe: Recipe) -> Problem:
    return Problem(
        code="ambiguous-batch",
        path="global_batch_tokens",
        message=f"`global_batch_size: {recipe.global_batch_size}` and "
        f"`global_batch_tokens: {recipe.global_batch_tokens}` are both written; expected one of them",
        hint="keep global_batch_size",
    )


def _no_batch() -> Problem:
    return Problem(
        code="missing-key",
        path="global_batch_size",
        message="`global_batch_size` is absent; expected sequences per optimizer step over the whole job",
        hint="write global_batch_size: 256",
    )


def _tokens_without_length(recipe: Recipe) -> Problem:
    return Problem(
        code="tokens-need-sequence-length",
        path="global_batch_tokens",
        message=f"`global_batch_tokens: {recipe.global_batch_tokens}` cannot become sequences: "
        "`sequence_length` is absent",
        hint="write sequence_length, or global_batch_size instead",
    )


def _tokens_not_whole(recipe: Recipe, length: int) -> Problem:
    tokens = recipe.global_batch_tokens
    assert tokens is not None
    below = tokens.number // length * length
    exact = [str(value) for value in (below, below + length) if value]
    return Problem(
        code="batch-tokens-not-whole",
        path="global_batch_tokens",
        message=f"`global_batch_tokens: {tokens}` is not a whole number of sequences of {length} tokens",
        because=(f"{int(tokens.number)} / {length} = {float(tokens.number / length):.2f}",),
        hint=f"use {' or '.join(exact)}",
    )


def _not_divisible(*, recipe: Recipe, layout: LayoutPlan, global_batch_size: int) -> Problem:
    micro, accumulation = written_split(recipe)
    ranks = data_parallel_size(layout)
    key = batch_key(recipe)
    if micro is not None and accumulation is not None:
        product = micro * accumulation * ranks
        return Problem(
            code="batch-triad-mismatch",
            path="micro_batch_size",
            message=f"`micro_batch_size: {micro}` x `gradient_accumulation_steps: {accumulation}` x {ranks} "
            f"data-parallel ranks = {product} slots do not fit `{key}`",
            because=(*_derivation(recipe, layout), *_sequences(recipe, global_batch_size)),
            hint="drop micro_batch_size or gradient_accumulation_steps, or take an alternative",
        )
    unit = ranks * (micro or 1) * (accumulation or 1)
    parts = f"{ranks} data-parallel ranks"
    if micro is not None:
        parts += f" of `micro_batch_size: {micro}`"
    if accumulation is not None:
        parts += f" with `gradient_accumulation_steps: {accumulation}`"
    return Problem(
        code="batch-not-divisible",
        path=batch_path(recipe),
        message=f"`{key}` cannot be split over {parts}",
        because=(
            *_derivation(recipe, layout),
            *_sequences(recipe, global_batch_size),
            f"{global_batch_size} / {_product(ranks, micro, accumulation)} is not whole",
        ),
        hint=_nearest_hint(recipe=recipe, global_batch_size=global_batch_size, unit=unit),
    )


def _product(*factors: int | None) -> str:
    known = [str(factor) for factor in factors if factor is not None]
    return known[0] if len(known) == 1 else f"({' x '.join(known)})"


def _derivation(recipe: Recipe, layout: LayoutPlan) -> tuple[str, ...]:
    """How the number of data-parallel ranks follows from the machines: `32 = world_size 64 / tensor 2`."""
    axes, ranks, world = axes_of(recipe.parallel), data_parallel_size(layout), layout.world_size
    if axes.ranks_per_replica > 1:
        return (f"{ranks} = world_size {world} / {axes}",)
    return (f"{ranks} = {layout.num_nodes} nodes x {layout.devices_per_node} devices",)


def _sequences(recipe: Recipe, global_batch_size: int) -> tuple[str, ...]:
    if recipe.global_batch_size is not None:
        return ()
    return (
        f"{global_batch_size} = {recipe.global_batch_tokens} tokens / sequence_length {sequence_tokens(recipe)}",
    )


def _nearest_hint(*, recipe: Recipe, global_batch_size: int, unit: int) -> str:
    length = 1 if recipe.global_batch_size is not None else sequence_tokens(recipe) or 1
    below = global_batch_size // unit * unit
    exact = " or ".join(str(value * length) for value in (below, below + unit) if value)
    idle = -global_batch_size % unit
    share = 100 * idle / (global_batch_size + idle)
    slots = f"{idle} idle slot{'s' if idle > 1 else ''} ({share:.1f} % of the work)"
    return f"use {exact}; or let the runtime pad {slots}: launch.runtime: true"


def _remarks(plan: BatchPlan, recipe: Recipe) -> tuple[Problem, ...]:
    found = []
    if plan.idle_slots:
        share = 100 * plan.idle_slots / plan.slots_per_step
        found.append(
            Problem(
                code="idle-slots",
                severity="note",
                path=batch_path(recipe),
                message=f"`{batch_key(recipe)}` fills {plan.global_batch_size} of {plan.slots_per_step} slots: "
                f"{plan.idle_slots} idle, {share:.1f} % of the work",
                because=(_identity(plan),),
                hint="idle slots weigh nothing; use a batch that divides if the cost matters",
            )
        )
    share_of_rank = plan.micro_batch_size * plan.gradient_accumulation_steps
    micro, accumulation = written_split(recipe)
    if micro is None and accumulation is None and plan.micro_batch_size == 1 < share_of_rank:
        found.append(_poor_micro(plan, recipe, share_of_rank))
    return tuple(found)


def _identity(plan: BatchPlan) -> str:
    micro, accumulation, ranks = (
        plan.micro_batch_size,
        plan.gradient_accumulation_steps,
        plan.data_parallel_size,
    )
    return f"{plan.slots_per_step} = {micro} micro x {accumulation} accumulation x {ranks} data-parallel"


def _poor_micro(plan: BatchPlan, recipe: Recipe, share: int) -> Problem:
    better = share + 1  # the next even share has at least micro-batch 2
    return Problem(
        code="poor-micro-batch",
        severity="warning",
        path=batch_path(recipe),
        message=f"`{batch_key(recipe)}` gives each of {plan.data_parallel_size} ranks {share} sequences, which no "
        f"number from 2 to {LARGEST_AUTO_MICRO_BATCH} divides: micro-batch 1",
        hint=f"use a batch with more divisors, such as {better * plan.data_parallel_size}",
    )


def _origins(*, plan: BatchPlan, recipe: Recipe, layout: LayoutPlan) -> dict[str, Origin]:
    marks, size, ranks = recipe.marks, plan.global_batch_size, plan.data_parallel_size
    micro, accumulation = plan.micro_batch_size, plan.gradient_accumulation_steps
    written_micro, written_accumulation = written_split(recipe)
    per_rank = micro * accumulation
    if written_micro is None and written_accumulation is None:
        micro_formula = (
            f"largest divisor of {per_rank} up to {LARGEST_AUTO_MICRO_BATCH}; {_share(size, ranks)}"
        )
    else:
        micro_formula = f"{_ceiling(plan)}{size} / ({accumulation} x {ranks}){')' if plan.idle_slots else ''}"
    accumulation_formula = f"{_ceiling(plan)}{size} / ({micro} x {ranks}){')' if plan.idle_slots else ''}"
    axes = axes_of(recipe.parallel)
    by = f" / {axes}" if axes.ranks_per_replica > 1 else ""
    return {
        "batch.micro_batch_size": derived(micro_formula)
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
