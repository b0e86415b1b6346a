"""Whether a model can be cut along the axes it is asked to be cut along."""

from __future__ import annotations

from launcher.errors import Problem
from launcher.planning.memory.pipeline import piece_sizes
from launcher.spec.parallel import Context, Parallel
from launcher.spec.plan import LayoutPlan, ModelPlan
from launcher.spec.recipe import Recipe

__all__ = ["fitting_problems"]


def fitting_problems(*, recipe: Recipe, model: ModelPlan, layout: LayoutPlan) -> tuple[Problem, ...]:
    """Heads over tensor ranks, layers over pipeline ranks, tokens over context ranks; nothing where one is not known.

    Source: NVIDIA/Megatron-LM@d98e8a64 megatron/core/transformer/transformer_config.py (num_attention_heads divides,
    num_layers may not); Ulysses gives each rank whole heads, Jacobs et al. 2023, arXiv:2309.14509.
    """
    heads, layers = model.num_attention_heads, model.num_layers
    tensor, pipeline = layout.tensor_parallel_size, layout.pipeline_parallel_size
    found = []
    if heads is not None and heads % tensor:
        found.append(_heads_do_not_divide("parallel.tensor", tensor, heads))
    if heads is not None and _is_ulysses(recipe) and heads % layout.context_parallel_size:
        found.append(_heads_do_not_divide("parallel.context.size", layout.context_parallel_size, heads))
    length = recipe.sequence_length
    if isinstance(length, int) and length % layout.context_parallel_size:
        found.append(_tokens_do_not_divide(recipe, layout.context_parallel_size, length))
    if layers is not None and pipeline > 1:
        found += _uneven_layers(pipeline, _virtual(recipe), layers)
    return tuple(found)


def _uneven_layers(pipeline: int, virtual: int, layers: int) -> list[Problem]:
    """A note where stages have different numbers of layers, an error where one would have none."""
    pieces = pipeline * virtual
    times = "" if virtual == 1 else f" x virtual_pipeline {virtual} = {pieces}"
    if pieces > layers and pieces != layers + 2:
        return [
            Problem(
                code="parallel-not-dividing",
                path="parallel.pipeline",
                message=f"`parallel.pipeline: {pipeline}`{times} is more than the {layers} layers of the model",
                hint=f"use at most {layers // virtual}"
                if layers >= virtual
                else "use a smaller virtual_pipeline",
            )
        ]
    sizes = piece_sizes(layers=layers, pieces=pieces)
    if min(sizes) == max(sizes):
        return []
    what = "stage" if virtual == 1 else "piece"
    if sizes[0] == sizes[-1] < min(sizes[1:-1], default=0) == max(sizes):
        share = f"{sizes[0]} on the first and the last {what}, {max(sizes)} on each other"
    else:
        share = f"{min(sizes)} or {max(sizes)} on a {what}"
    return [
        Problem(
            code="parallel-not-dividing",
            severity="note",
            path="parallel.pipeline",
            message=f"`parallel.pipeline: {pipeline}`{times} does not divide the {layers} layers of the model: "
            f"memory counts {share}",
        )
    ]


def _virtual(recipe: Recipe) -> int:
    return recipe.parallel.virtual_pipeline if isinstance(recipe.parallel, Parallel) else 1


def _heads_do_not_divide(path: str, size: int, heads: int) -> Problem:
    return Problem(
        code="heads-not-dividing",
        path=path,
        message=f"`{path}: {size}` does not divide the {heads} attention heads",
        hint=f"use a divisor of {heads}",
    )


def _tokens_do_not_divide(recipe: Recipe, size: int, length: int) -> Problem:
    """Each rank of the context axis gets as many tokens of a sequence as the others.

    Source: NVIDIA/Megatron-LM@d98e8a64 megatron/training/arguments.py (seq_length is a multiple
    of 2 x context_parallel_size; the 2 is of its way to cut).
    """
    mapping = isinstance(recipe.parallel, Parallel) and isinstance(recipe.parallel.context, Context)
    path = "parallel.context.size" if mapping else "parallel.context"
    return Problem(
        code="parallel-not-dividing",
        path=path,
        message=f"`{path}: {size}` does not divide the {length} tokens of `sequence_length`",
        because=(f"{length} / {size} is not whole",),
        hint=f"use a divisor of {length}, or another length",
    )


def _is_ulysses(recipe: Recipe) -> bool:
    parallel = recipe.parallel
    if not isinstance(parallel, Parallel) or not isinstance(parallel.context, Context):
        return False
    return parallel.context.algorithm == "ulysses"
