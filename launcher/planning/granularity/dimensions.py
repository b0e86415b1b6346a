"""Dimensions of a model's matrix multiplications on one rank, each with the share of the work it is part of."""

from __future__ import annotations

from typing import NamedTuple

from launcher.planning.model import TRANSFORMER_KINDS
from launcher.spec.plan import BatchPlan, LayoutPlan, ModelPlan
from launcher.spec.recipe import EncoderDecoderLength, Recipe

__all__ = ["Dimension", "dimensions_of", "tokens_of"]

_GATES = {"rnn": 1, "gru": 3, "lstm": 4}


class Dimension(NamedTuple):
    """One dimension as a recipe names it, its size on one tensor-parallel rank, and its share of the work."""

    path: str
    value: int
    size: int
    share: float
    """Of the multiplications of a forward pass, those that have this dimension; 0 to 1."""


def dimensions_of(*, recipe: Recipe, model: ModelPlan, layout: LayoutPlan) -> tuple[Dimension, ...]:
    """Dimensions that layout and recipe decide, largest share first; none for kinds without large ones.

    Shares count multiplications: 2 m n k for each product, attention unmasked, output layer included.
    Source: Korthikanti et al. 2022, arXiv:2205.05198, appendix A; gated layers have three matrices.
    """
    if model.kind in TRANSFORMER_KINDS:
        found = _of_transformer(recipe, model, layout.tensor_parallel_size)
    elif model.kind in _GATES:
        found = _of_recurrent(model)
    elif model.kind in {"mlp", "bag"}:
        found = _of_rows(recipe, model)
    else:
        return ()
    return tuple(sorted(found, key=lambda each: -each.share))


def tokens_of(*, recipe: Recipe, batch: BatchPlan, layout: LayoutPlan) -> Dimension | None:
    """Tokens of a micro-batch on one context-parallel rank, rows of all products; None where there is no one length.

    Their groups are not where memory is aligned: no share of the work is known to wait for them.
    """
    length = recipe.sequence_length
    if not isinstance(length, int):
        return None
    tokens = batch.micro_batch_size * length // layout.context_parallel_size
    return Dimension("sequence_length", length, tokens, 0.0)


def _of_transformer(recipe: Recipe, model: ModelPlan, tensor: int) -> list[Dimension]:
    hidden, inner, layers = model.hidden_size, model.intermediate_size, model.num_layers
    heads, width, queries = model.num_attention_heads, model.head_dim, model.num_key_value_heads
    if None in (hidden, inner, layers, heads, width, queries):
        return []
    assert hidden is not None
    assert inner is not None
    assert layers is not None
    assert heads is not None
    assert width is not None
    assert queries is not None
    written = recipe.model
    inner_path = "model.intermediate_size"
    if written.moe_intermediate_size is not None:
        inner, inner_path = written.moe_intermediate_size, "model.moe_intermediate_size"
    experts = (written.num_experts_per_token or 1) + written.num_shared_experts if written.num_experts else 1
    projections = 2 * hidden * width * (heads + queries)
    scores = 2 * _length(recipe) * heads * width
    feed_forward = (3 if written.gated_mlp else 2) * hidden * inner * experts
    output = hidden * (model.vocab_size or 0) / layers
    total = projections + scores + feed_forward + output
    attended = scores if (heads * width // tensor) % 64 == 0 else scores + projections
    found = [
        _dimension("hidden_size", hidden, 1, (total - scores) / total),
        _dimension(inner_path, inner, tensor, feed_forward / total),
        _dimension("model.head_dim", width, 1, attended / total),
    ]
    # Megatron pads the vocabulary by itself (--make-vocab-size-divisible-by 128)
    if model.vocab_size and written.implementation != "megatron":
        found.append(_dimension("model.vocab_size", model.vocab_size, tensor, output / total))
    return found


def _of_recurrent(model: ModelPlan) -> list[Dimension]:
    hidden, layers = model.hidden_size or 0, model.num_layers or 1
    cells, output = 2 * _GATES[model.kind] * hidden * hidden * layers, hidden * (model.vocab_size or 0)
    if not hidden:
        return []
    found = [_dimension("hidden_size", hidden, 1, 1.0)]
    if model.vocab_size:
        found.append(_dimension("model.vocab_size", model.vocab_size, 1, output / (cells + output)))
    return found


def _of_rows(recipe: Recipe, model: ModelPlan) -> list[Dimension]:
    hidden = model.hidden_size or 0
    if not hidden:
        return []
    given = recipe.model.input_size or hidden
    hiddens = (model.num_layers or 1) - 1
    first = given * hidden / (given * hidden + hiddens * hidden * hidden)
    found = [_dimension("hidden_size", hidden, 1, 1.0)]
    if model.kind == "mlp" and recipe.model.input_size:
        found.append(_dimension("model.input_size", given, 1, first))
    return found


def _dimension(path: str, value: int, tensor: int, share: float) -> Dimension:
    return Dimension(path, value, value // tensor if value % tensor == 0 else value, share)


def _length(recipe: Recipe) -> int:
    length = recipe.sequence_length
    if isinstance(length, EncoderDecoderLength):
        return length.input
    if length is None and recipe.model.kind == "vit":
        side = (recipe.model.image_size or 224) // (recipe.model.patch_size or 16)
        return side * side + 1
    return length or 1
