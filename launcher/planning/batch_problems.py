"""What can be said against a batch, and about one that is legal but poor."""

from __future__ import annotations

from fractions import Fraction

from launcher.errors import Problem
from launcher.planning.divisors import largest_divisor
from launcher.planning.layout import axes_of
from launcher.planning.model import sequence_tokens
from launcher.planning.words import counted
from launcher.spec.plan import BatchPlan, LayoutPlan
from launcher.spec.recipe import EncoderDecoderLength, Recipe

__all__ = [
    "LARGEST_AUTO_MICRO_BATCH",
    "both_batches",
    "no_batch",
    "not_divisible",
    "remarks",
    "tokens_not_whole",
    "tokens_without_length",
]

LARGEST_AUTO_MICRO_BATCH = 8
"""Cap of a micro-batch nobody wrote, in sequences: until memory is planned, small enough to fit where a model fits at
all, large enough that 8 sequences of a short context still fill a matrix multiplication."""


def both_batches(recipe: Recipe) -> Problem:
    return Problem(
        code="ambiguous-batch",
        path="global_batch_tokens",
        message=f"`global_batch_size: {recipe.global_batch_size}` and "
        f"`global_batch_tokens: {recipe.global_batch_tokens}` are both written; expected one of them",
        hint="keep global_batch_size",
    )


def no_batch() -> Problem:
    return Problem(
        code="missing-key",
        path="global_batch_size",
        message="`global_batch_size` is missing: expected sequences per optimizer step over the whole job",
        hint="write global_batch_size: 256",
    )


def tokens_without_length(recipe: Recipe) -> Problem:
    return Problem(
        code="tokens-need-sequence-length",
        path="global_batch_tokens",
        message=f"`global_batch_tokens: {recipe.global_batch_tokens}` cannot become sequences: "
        "`sequence_length` is absent",
        hint="write sequence_length, or global_batch_size instead",
    )


def tokens_not_whole(recipe: Recipe, length: int) -> Problem:
    tokens = recipe.global_batch_tokens
    assert tokens is not None
    below = tokens.number // length * length
    exact = [str(value) for value in (below, below + length) if value]
    return Problem(
        code="batch-tokens-not-whole",
        path="global_batch_tokens",
        message=f"`global_batch_tokens: {tokens}` is not a whole number of sequences of {length} tokens",
        because=(
            f"{int(tokens.number)} / {length} = {float(tokens.number / length):.2f}",
            *_both_lengths(recipe),
        ),
        hint=f"use {' or '.join(exact)}",
    )


def _both_lengths(recipe: Recipe) -> tuple[str, ...]:
    """Where the length of an encoder-decoder comes from, which is written in two numbers."""
    length = recipe.sequence_length
    if not isinstance(length, EncoderDecoderLength):
        return ()
    total = length.input + length.target
    return (f"{total} = sequence_length.input {length.input} + sequence_length.target {length.target}",)


def not_divisible(
    *,
    recipe: Recipe,
    layout: LayoutPlan,
    split: tuple[int | None, int | None],
    global_batch_size: int,
    data_parallel_size: int,
) -> Problem:
    (micro, accumulation), ranks = split, data_parallel_size
    key = _key(recipe)
    if micro is not None and accumulation is not None:
        product = micro * accumulation * ranks
        return Problem(
            code="batch-triad-mismatch",
            path="micro_batch_size",
            message=f"`micro_batch_size: {micro}` x `gradient_accumulation_steps: {accumulation}` x "
            f"{counted(ranks, 'data-parallel rank')} = {product} slots do not fit `{key}`",
            because=(*_derivation(recipe, layout, ranks), *_sequences(recipe, global_batch_size)),
            hint=_split_hint(Fraction(global_batch_size, ranks), micro, accumulation),
        )
    unit = ranks * (micro or 1) * (accumulation or 1)
    parts = counted(ranks, "data-parallel rank")
    if micro is not None:
        parts += f" of `micro_batch_size: {micro}`"
    if accumulation is not None:
        parts += f" with `gradient_accumulation_steps: {accumulation}`"
    return Problem(
        code="batch-not-divisible",
        path=_path(recipe),
        message=f"`{key}` cannot be split over {parts}",
        because=(
            *_derivation(recipe, layout, ranks),
            *_sequences(recipe, global_batch_size),
            f"{global_batch_size} / {_product(ranks, micro, accumulation)} is not whole",
        ),
        hint=_nearest_hint(recipe=recipe, global_batch_size=global_batch_size, unit=unit),
    )


def _split_hint(share: Fraction, micro: int, accumulation: int) -> str:
    """The smallest change that makes micro x accumulation the share of a rank."""
    if (share / micro).denominator == 1:
        return f"write gradient_accumulation_steps: {share / micro}, or drop it"
    if (share / accumulation).denominator == 1:
        return f"write micro_batch_size: {share / accumulation}, or drop it"
    return "drop micro_batch_size or gradient_accumulation_steps"


def _product(*factors: int | None) -> str:
    known = [str(factor) for factor in factors if factor is not None]
    return known[0] if len(known) == 1 else f"({' x '.join(known)})"


def _derivation(recipe: Recipe, layout: LayoutPlan, ranks: int) -> tuple[str, ...]:
    """How the number of data-parallel ranks follows from the machines: `32 = world_size 64 / tensor 2`."""
    axes, world = axes_of(recipe.parallel), layout.world_size
    if axes.ranks_per_replica > 1:
        return (f"{ranks} = world_size {world} / {axes}",)
    return (f"{ranks} = {counted(layout.num_nodes, 'node')} x {counted(layout.devices_per_node, 'device')}",)


def _sequences(recipe: Recipe, global_batch_size: int) -> tuple[str, ...]:
    if recipe.global_batch_size is not None:
        return ()
    return (
        f"{global_batch_size} = {recipe.global_batch_tokens} tokens / sequence_length {sequence_tokens(recipe)}",
    )


def _nearest_hint(*, recipe: Recipe, global_batch_size: int, unit: int) -> str:
    length = 1
    if recipe.global_batch_size is None:  # written in tokens, so the hint is in tokens too
        length = sequence_tokens(recipe) or length
    below = global_batch_size // unit * unit
    exact = " or ".join(str(value * length) for value in (below, below + unit) if value)
    idle = -global_batch_size % unit
    share = 100 * idle / (global_batch_size + idle)
    slots = f"{counted(idle, 'idle slot')} ({share:.1f} % of the work)"
    return f"use {exact}; or let the runtime pad {slots}: launch.runtime: true"


def remarks(*, plan: BatchPlan, recipe: Recipe, is_auto: bool) -> tuple[Problem, ...]:
    found = []
    if plan.idle_slots:
        share = 100 * plan.idle_slots / plan.slots_per_step
        found.append(
            Problem(
                code="idle-slots",
                severity="note",
                path=_path(recipe),
                message=f"`{_key(recipe)}` fills {plan.global_batch_size} of {plan.slots_per_step} slots: "
                f"{plan.idle_slots} idle, {share:.1f} % of the work",
                because=(_identity(plan),),
                hint="idle slots weigh nothing; use a batch that divides if the cost matters",
            )
        )
    share_of_rank = plan.micro_batch_size * plan.gradient_accumulation_steps
    indivisible = largest_divisor(number=share_of_rank, cap=LARGEST_AUTO_MICRO_BATCH) == 1
    if is_auto and plan.micro_batch_size == 1 < share_of_rank and indivisible:
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
        path=_path(recipe),
        message=f"`{_key(recipe)}` gives each of {counted(plan.data_parallel_size, 'rank')} {share} sequences, "
        f"which no number from 2 to {LARGEST_AUTO_MICRO_BATCH} divides: micro-batch 1",
        hint=f"use a batch with more divisors, such as {better * plan.data_parallel_size}",
    )


def _key(recipe: Recipe) -> str:
    """The key that says how large the batch is, and its value as written."""
    if recipe.global_batch_tokens is not None and recipe.global_batch_size is None:
        return f"global_batch_tokens: {recipe.global_batch_tokens}"
    return f"global_batch_size: {recipe.global_batch_size}"


def _path(recipe: Recipe) -> str:
    """Path of the key that says how large the batch is."""
    return _key(recipe).partition(":")[0]
