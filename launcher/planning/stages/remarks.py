"""What is worth knowing of stages that can be planned: what becomes of the learning rate, and what nobody asked for."""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise

from launcher.errors import Problem
from launcher.planning.model import sequence_tokens
from launcher.planning.scaling import rule_of
from launcher.planning.stages.handed_over import handed_over_problems
from launcher.planning.stages.parts import StagePart
from launcher.planning.stages.readable import readable_problems
from launcher.planning.stages.written import changes_length, counts_tokens
from launcher.spec.recipe import Recipe

__all__ = ["stage_remarks"]


def stage_remarks(
    *, recipe: Recipe, parts: tuple[StagePart, ...], global_batch_size: int
) -> tuple[Problem, ...]:
    """Notes and warnings; global_batch_size: sequences per step of the run's own batch."""
    return (
        *_unused_batch(recipe, parts, global_batch_size),
        *_rate(recipe, parts),
        *_clock(recipe),
        *_both_grow(parts),
        *readable_problems(parts),
        *handed_over_problems(recipe=recipe, batches=tuple(part.batch for part in parts)),
    )


def _unused_batch(recipe: Recipe, parts: tuple[StagePart, ...], size: int) -> tuple[Problem, ...]:
    length = sequence_tokens(recipe)
    if any((part.batch.global_batch_size, part.batch.sequence_length) == (size, length) for part in parts):
        return ()
    written = (
        f"global_batch_tokens: {recipe.global_batch_tokens}"
        if recipe.global_batch_size is None
        else f"global_batch_size: {size}"
    )
    of_length = f" of {length} tokens" if length is not None and changes_length(recipe) else ""
    problem = Problem(
        code="batch-of-no-stage",
        severity="note",
        path=written.partition(":")[0],
        message=f"`{written}`: no stage trains on {size} sequences{of_length}; the curve's peak is meant for them",
    )
    return (problem,)


def _rate(recipe: Recipe, parts: tuple[StagePart, ...]) -> tuple[Problem, ...]:
    """What a changing batch does to the learning rate."""
    optimizer = recipe.optimizer
    tokens = {part.batch.tokens_per_step or part.batch.global_batch_size for part in parts}
    if len(tokens) < 2 or (optimizer.learning_rate is None and optimizer.reference_learning_rate is None):
        return ()
    if optimizer.learning_rate is not None:
        message = "`optimizer.learning_rate` is the same function in every stage, whatever the batch"
        because = (
            "GPT-3 and BLOOM ramped their batch so (arXiv:2005.14165, bigscience-workshop/bigscience@9e64ede)",
        )
        hint = "write optimizer.reference_learning_rate with its batch to let a rule scale each stage"
        return (_note("stages-keep-the-rate", "optimizer.learning_rate", message, because, hint),)
    scales = [part.learning_rate_scale for part in parts]
    message = (
        f"`optimizer.reference_learning_rate` is scaled to every stage's batch by the {rule_of(recipe)} rule: "
        f"x {min(scales):.4g} to x {max(scales):.4g} of the curve"
    )
    path = "optimizer.reference_learning_rate"
    return (_note("stages-scale-the-rate", path, message, _beside_olmo(parts), ""),)


def _beside_olmo(parts: tuple[StagePart, ...]) -> tuple[str, ...]:
    """How the one published implementation that scales at a boundary differs.

    Source: allenai/OLMo-core@fa6c5014 train/callbacks/batch_size_scheduler.py.
    """
    sizes = [part.batch.global_batch_size for part in parts]
    factors = [Fraction(max(pair), min(pair)) for pair in pairwise(sizes) if pair[0] != pair[1]]
    odd = next((factor for factor in factors if factor.denominator != 1), None)
    rule = "OLMo-core@fa6c5014 multiplies the rate by the square root of the factor, and takes whole factors only"
    return (rule,) if odd is None else (rule, f"here one is {float(odd):.4g}, which it would refuse")


def _clock(recipe: Recipe) -> tuple[Problem, ...]:
    """A learning rate that goes by samples while their length changes.

    Source: deepspeedai/DeepSpeed@edaa7221 docs/_tutorials/curriculum-learning.md sections 2.3 to 2.5.
    """
    if not changes_length(recipe) or counts_tokens(recipe) or sequence_tokens(recipe) is None:
        return ()
    problem = Problem(
        code="clock-ignores-length",
        severity="warning",
        path="schedule.clock",
        message="`schedule.clock: samples` while stages change the length of a sample: the rate decays by their number",
        because=(
            "decay and end have to go by tokens, or the rate decays too fast: arXiv:2108.06084 appendix A.2",
            "DeepSpeed@edaa7221 curriculum-learning.md says so, and leaves the warmup in samples",
        ),
        hint="drop schedule.clock, or write schedule.clock: tokens",
    )
    return (problem,)


def _both_grow(parts: tuple[StagePart, ...]) -> tuple[Problem, ...]:
    """A ramp of the batch on top of one of the length: both take tokens away from the first steps.

    Source: deepspeedai/DeepSpeed@edaa7221 docs/_tutorials/curriculum-learning.md section 2.2.
    """
    first, last = parts[0].batch, parts[-1].batch
    if first.sequence_length is None or last.sequence_length is None:
        return ()
    if not (
        first.sequence_length < last.sequence_length and first.global_batch_size < last.global_batch_size
    ):
        return ()
    share = 100 * (first.tokens_per_step or 0) / (last.tokens_per_step or 1)
    problem = Problem(
        code="two-ramps",
        severity="warning",
        path="stages",
        message=f"batch and sequence length both grow: the first steps hold {share:.2g} % of the tokens of the last",
        because=(
            "DeepSpeed@edaa7221 curriculum-learning.md advises against a batch ramp beside a length ramp",
        ),
        hint="grow one of the two, or write global_batch_tokens at the top to keep tokens per step",
    )
    return (problem,)


def _note(code: str, path: str, message: str, because: tuple[str, ...], hint: str) -> Problem:
    return Problem(code=code, severity="note", path=path, message=message, because=because, hint=hint)
