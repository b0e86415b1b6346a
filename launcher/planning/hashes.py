"""Two fingerprints: what training means, and what is rendered. Neither moves with an estimate, a path or a note."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass, replace
from typing import Any

from launcher.planning.scaling import ALPHA, rule_of
from launcher.planning.stages.written import counts_tokens, stage_recipes
from launcher.planning.stream import carries_state
from launcher.spec.plan import BatchPlan, ModelPlan, OptimizerPlan, PrecisionPlan, RunPlan
from launcher.spec.recipe import Recipe
from launcher.spec.training import Scaling
from launcher.units import Amount

__all__ = ["plan_hash", "semantics_hash"]

_NOT_IN_PLAN_HASH = ("plan_hash", "verdict", "problems", "alternatives", "memory", "time", "origins")
_MEANT = ("model", "data", "optimizer", "schedule", "precision", "loss", "seed")
"""Further keys of a stage that are part of what it means, as they are of the run."""
_COUNTS = ("num_parameters", "num_active_parameters", "num_trainable_parameters")


def semantics_hash(
    *,
    recipe: Recipe,
    model: ModelPlan,
    batch: BatchPlan,
    optimizer: OptimizerPlan,
    precision: PrecisionPlan,
    stage_batches: Sequence[BatchPlan] = (),
) -> str:
    """sha256 of what training means, as hexadecimal; what a lock and a resumed run compare.

    Numbers are those that were written or filled in, never computed ones, and `2 steps` is one value however it is
    spelled. Where the model depends on the split (batch-coupled layers, dropout, carried state), the split is part of
    the meaning.
    """
    meaning: dict[str, Any] = {
        "model": _model(model),
        "data": _fields(recipe.data, without=("paths",)),
        "optimizer": {
            **_fields(recipe.optimizer, without=("owner", "implementation", "scaling")),
            **_fields(optimizer, without=("owner", "implementation")),
            "scaling": _scaling(recipe),
        },
        "schedule": {
            **_fields(recipe.schedule, without=("owner", "arguments")),
            "clock": "tokens" if counts_tokens(recipe) else "samples",
        },
        "stages": _stages(recipe),
        "loss": _fields(recipe.loss, without=("logits",)),
        "precision": _canonical(precision),
        "batch": {
            "global_batch_size": batch.global_batch_size,
            "sequence_length": _canonical(recipe.sequence_length),
        },
        "seed": recipe.seed,
    }
    coupled = model.batch_coupled or model.dropout > 0 or recipe.model.attention_dropout
    if coupled or carries_state(model):
        if stage_batches:
            meaning["splits"] = [_split(each) for each in stage_batches]
        else:
            meaning["split"] = _split(batch)
    return _digest(meaning)


def plan_hash(plan: RunPlan) -> str:
    """sha256 of what is rendered from a plan, as hexadecimal; what the ranks of a job compare."""
    stages = plan.stages and tuple(replace(stage, memory=None) for stage in plan.stages)
    told = replace(plan, memory=None, stages=stages).to_dict()
    plain = {key: value for key, value in told.items() if key not in _NOT_IN_PLAN_HASH}
    if plan.part is None:
        del plain["part"]
    plain["model"] = {key: value for key, value in plain["model"].items() if key not in _COUNTS}
    plain["launch"] = {
        key: value for key, value in plain["launch"].items() if key not in {"workdir", "hosts", "allocation"}
    }
    plain["data"] = {key: value for key, value in plain["data"].items() if key != "paths"}
    return _digest(plain)


def _stages(recipe: Recipe) -> list[dict[str, Any]]:
    """What the stages of a recipe mean, whatever notation they were written in: batch and length are filled in."""
    return [
        {
            "until": _canonical(stage.written.until),
            "global_batch_size": stage.global_batch_size,
            "sequence_length": _canonical(stage.recipe.sequence_length),
            **{name: _canonical(getattr(stage.written, name)) for name in _MEANT},
        }
        for stage in stage_recipes(recipe).value or ()
    ]


def _split(batch: BatchPlan) -> dict[str, int]:
    return {"micro_batch_size": batch.micro_batch_size, "ranks": batch.data_parallel_size}


def _model(model: ModelPlan) -> dict[str, Any]:
    plain = _fields(model, without=(*_COUNTS, "others"))
    others = {name: value for name, value in model.others.items() if name != "implementation"}
    return {**plain, "others": _canonical(others)}


def _scaling(recipe: Recipe) -> Any:
    """The rule with its parameters filled in: what is a default means what it means written out."""
    scaling, rule = recipe.optimizer.scaling, rule_of(recipe)
    written = scaling if isinstance(scaling, Scaling) else Scaling(rule=rule)
    if rule in {"capped", "saturating"} and written.alpha is None:
        written = replace(written, alpha=ALPHA)
    return _canonical(written)


def _fields(value: Any, *, without: tuple[str, ...]) -> dict[str, Any]:
    return {
        item.name: _canonical(getattr(value, item.name)) for item in fields(value) if item.name not in without
    }


def _canonical(value: Any) -> Any:
    """Plain values in which equal quantities are equal: whole floats are integers, amounts are exact."""
    if isinstance(value, Amount):
        return f"{value.number} {value.unit}".strip()
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if is_dataclass(value) and not isinstance(value, type):
        return _fields(value, without=())
    if isinstance(value, Mapping):
        return {str(key): _canonical(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_canonical(item) for item in value]
    return value


def _digest(value: Any) -> str:
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()
