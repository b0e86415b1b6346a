"""Dimensions of the network, with what follows from the width filled in."""

from __future__ import annotations

from dataclasses import fields

from launcher.errors import Problem
from launcher.planning.coupling.coupled import coupled_names, coupled_origins
from launcher.planning.origins import default, derived, written_or
from launcher.planning.solved import Solved
from launcher.spec.marks import Origin
from launcher.spec.model import Model
from launcher.spec.plan import ModelPlan
from launcher.spec.recipe import EncoderDecoderLength, Recipe

__all__ = ["TOKEN_KINDS", "TRANSFORMER_KINDS", "sequence_tokens", "solve_model"]

TRANSFORMER_KINDS = ("decoder", "encoder", "encoder-decoder", "moe", "vit")
TOKEN_KINDS = ("decoder", "encoder", "encoder-decoder", "moe", "rnn", "lstm", "gru")

WIDTH_PER_HEAD = 64
"""Width for each head and each layer when neither is written.

GPT-2 has 768 / 12 heads = 64 (Radford et al. 2019), and depth = width / 64 up to its medium size; nanochat derives its
width as 64 x depth (karpathy/nanochat@92d63d4 scripts/base_train.py).
"""
_DERIVED = ("num_layers", "num_attention_heads", "num_key_value_heads", "head_dim", "intermediate_size")
_SHOWN_ELSEWHERE = (*_DERIVED, "kind", "vocab_size", "batch_coupled", "dropout", "preset", "config")


def sequence_tokens(recipe: Recipe) -> int | None:
    """Tokens per sequence; input plus target for an encoder-decoder."""
    length = recipe.sequence_length
    return length.input + length.target if isinstance(length, EncoderDecoderLength) else length


def solve_model(recipe: Recipe) -> Solved[ModelPlan]:
    """Dimensions of the model; those of a module are not known here."""
    problems = (*_choice_problems(recipe), *_missing_problems(recipe))
    if _taken_from_elsewhere(recipe.model):
        return Solved(value=_as_written(recipe), problems=problems, origins=coupled_origins(recipe))
    if recipe.model.kind not in TRANSFORMER_KINDS or recipe.hidden_size is None:
        value = None if any(problem.severity == "error" for problem in problems) else _as_written(recipe)
        return Solved(value=value, problems=problems, origins=_written_origins(recipe))
    dims, dim_problems, origins = _transformer_dims(recipe, recipe.hidden_size)
    problems = (*problems, *dim_problems)
    if any(problem.severity == "error" for problem in problems):
        return Solved(value=None, problems=problems, origins=origins)
    return Solved(value=_plan(recipe, dims), problems=problems, origins=origins)


def _taken_from_elsewhere(model: Model) -> bool:
    return model.kind == "module"


def _choice_problems(recipe: Recipe) -> tuple[Problem, ...]:
    model = recipe.model
    written = [name for name in ("preset", "config", "module") if getattr(model, name) is not None]
    found = []
    if len(written) > 1:
        found.append(
            Problem(
                code="ambiguous-model",
                path=f"model.{written[1]}",
                message=f"`model.{written[1]}: {getattr(model, written[1])}` stands beside "
                f"`model.{written[0]}: {getattr(model, written[0])}`; expected one of preset, config and module",
                hint=f"keep model.{written[0]}",
            )
        )
    if model.kind == "module" and model.module is None:
        found.append(
            Problem(
                code="missing-key",
                path="model.module",
                message="`model.module` is missing: `model.kind: module` needs it",
                hint="write model.module: package.file:function",
            )
        )
    return tuple(found)


def _missing_problems(recipe: Recipe) -> tuple[Problem, ...]:
    kind = recipe.model.kind
    found = []
    elsewhere = any(getattr(recipe.model, name) is not None for name in ("preset", "config", "module"))
    if recipe.hidden_size is None and not elsewhere and kind not in {"resnet", "module"}:
        found.append(
            Problem(
                code="missing-key",
                path="hidden_size",
                message=f"`hidden_size` is missing: expected the width of the model (model.kind: {kind})",
                hint="write hidden_size: 768, or model.preset",
            )
        )
    if recipe.sequence_length is None and kind in TOKEN_KINDS:
        found.append(
            Problem(
                code="missing-key",
                path="sequence_length",
                message=f"`sequence_length` is missing: expected the tokens of a sequence (model.kind: {kind})",
                hint="write sequence_length: 1024",
            )
        )
    if kind == "moe" and recipe.model.num_experts is None:
        found.append(
            Problem(
                code="missing-key",
                path="model.num_experts",
                message="`model.num_experts` is missing: expected the routed experts of a layer (model.kind: moe)",
                hint="write model.num_experts: 8",
            )
        )
    if isinstance(recipe.sequence_length, EncoderDecoderLength) and kind != "encoder-decoder":
        length = recipe.sequence_length
        found.append(
            Problem(
                code="wrong-type",
                path="sequence_length",
                message=f"`sequence_length: {{input: {length.input}, target: {length.target}}}` is for an "
                f"encoder-decoder; expected one number for model.kind: {kind}",
                hint="write one number, or model.kind: encoder-decoder",
            )
        )
    return tuple(found)


def _transformer_dims(
    recipe: Recipe, hidden: int
) -> tuple[dict[str, int], tuple[Problem, ...], dict[str, Origin]]:
    model, marks = recipe.model, recipe.marks
    by_width = derived(f"hidden_size {hidden} / {WIDTH_PER_HEAD}")
    underived = [name for name in ("num_layers", "num_attention_heads") if getattr(model, name) is None]
    if underived and hidden % WIDTH_PER_HEAD:
        return {}, (_width_problem(hidden, underived),), {}
    heads = model.num_attention_heads or hidden // WIDTH_PER_HEAD
    kv_heads = model.num_key_value_heads or heads
    problems = _head_problems(recipe, hidden=hidden, heads=heads, kv_heads=kv_heads)
    dims = {
        "num_layers": model.num_layers or hidden // WIDTH_PER_HEAD,
        "num_attention_heads": heads,
        "num_key_value_heads": kv_heads,
        "head_dim": model.head_dim or hidden // heads,
        "intermediate_size": model.intermediate_size or 4 * hidden,
    }
    formulas = {
        "num_layers": by_width,
        "num_attention_heads": by_width,
        "num_key_value_heads": derived(f"num_attention_heads {heads}"),
        "head_dim": derived(f"hidden_size {hidden} / num_attention_heads {heads}"),
        "intermediate_size": derived(f"4 x hidden_size {hidden}"),
    }
    origins = {
        f"model.{name}": written_or(marks, f"model.{name}", formula) for name, formula in formulas.items()
    }
    return dims, problems, {**_written_origins(recipe), **origins}


def _width_problem(hidden: int, underived: list[str]) -> Problem:
    below, above = hidden // WIDTH_PER_HEAD * WIDTH_PER_HEAD, -(-hidden // WIDTH_PER_HEAD) * WIDTH_PER_HEAD
    near = f"{below} or {above}" if below else f"{above}"
    return Problem(
        code="width-not-divisible",
        path="hidden_size",
        message=f"`hidden_size: {hidden}` is not a multiple of {WIDTH_PER_HEAD}, so "
        f"{' and '.join(underived)} cannot be derived",
        because=(f"{' = '.join(underived)} = hidden_size / {WIDTH_PER_HEAD} when not written",),
        hint=f"write {' and '.join(f'model.{name}' for name in underived)}, or use {near}",
    )


def _head_problems(recipe: Recipe, *, hidden: int, heads: int, kv_heads: int) -> tuple[Problem, ...]:
    found = []
    if recipe.model.head_dim is None and hidden % heads:
        found.append(
            Problem(
                code="heads-not-dividing",
                path="model.num_attention_heads",
                message=f"`model.num_attention_heads: {heads}` does not divide `hidden_size: {hidden}`",
                hint="use a number of heads that divides the width, or write model.head_dim",
            )
        )
    if heads % kv_heads:
        found.append(
            Problem(
                code="heads-not-dividing",
                path="model.num_key_value_heads",
                message=f"`model.num_key_value_heads: {kv_heads}` does not divide the {heads} attention heads",
                hint=f"use a divisor of {heads}",
            )
        )
    return tuple(found)


def _plan(recipe: Recipe, dims: dict[str, int]) -> ModelPlan:
    model = recipe.model
    unset = Model()
    others = {
        item.name: getattr(model, item.name)
        for item in fields(Model)
        if item.name not in _SHOWN_ELSEWHERE and getattr(model, item.name) != getattr(unset, item.name)
    }
    return ModelPlan(
        kind=model.kind,
        hidden_size=recipe.hidden_size,
        vocab_size=_vocabulary(model),
        batch_coupled=coupled_names(recipe),
        dropout=model.dropout,
        others=others,
        **{name: dims.get(name, getattr(model, name)) for name in _DERIVED},
    )


def _vocabulary(model: Model) -> int | None:
    """Tokens of the vocabulary, where the kind has one; a module is built with the number that is written for it."""
    if model.kind in (*TOKEN_KINDS, "bag"):
        return model.vocab_size
    return model.vocab_size if model.kind == "module" and model.vocab_size != Model().vocab_size else None


def _as_written(recipe: Recipe) -> ModelPlan:
    return _plan(recipe, {})


def _written_origins(recipe: Recipe) -> dict[str, Origin]:
    names = ("kind", "vocab_size", "dropout")
    found = {f"model.{name}": written_or(recipe.marks, f"model.{name}", default()) for name in names}
    hidden = written_or(recipe.marks, "hidden_size", default())
    return {"model.hidden_size": hidden, **found, **coupled_origins(recipe)}
