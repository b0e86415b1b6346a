"""Two fingerprints: what training means, and what is rendered. Neither moves with an estimate, a path or a note.

A field that holds nothing (None, an empty list or section) is in neither: a key that a later version adds, and that a
recipe does not write, moves no hash.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass, replace
from typing import Any

from launcher.planning.scaling import ALPHA, rule_of
from launcher.planning.stages.written import counts_tokens, stage_recipes
from launcher.planning.stream import carries_state
from launcher.spec.plain import to_plain
from launcher.spec.plan import BatchPlan, ModelPlan, OptimizerPlan, PrecisionPlan, RunPlan
from launcher.spec.recipe import Recipe
from launcher.spec.training import Scaling, Schedule
from launcher.units import Amount

__all__ = ["digest", "hashed_plan", "meaning", "plan_hash"]

_NOT_IN_PLAN_HASH = ("plan_hash", "verdict", "problems", "alternatives", "memory", "time", "origins")
_MEANT = ("model", "data", "optimizer", "schedule", "precision", "loss", "seed")
"""Further keys of a stage that are part of what it means, as they are of the run."""
_ADDED = ("decay_power", "decay_factor")
_ADDED_TO_PLAN = ("decay_power",)
"""Keys of a schedule that came later and whose default is a number: at it they are left out, so that no hash moves."""
_COUNTS = ("num_parameters", "num_active_parameters", "num_trainable_parameters")


def meaning(
    *,
    recipe: Recipe,
    model: ModelPlan,
    batch: BatchPlan,
    optimizer: OptimizerPlan,
    precision: PrecisionPlan,
    stage_batches: Sequence[BatchPlan] = (),
) -> dict[str, Any]:
    """What training means, part by part; its digest is semantics_hash, what a lock and a resumed run compare.

    Numbers are those that were written or filled in, never computed ones, and `2 steps` is one value however it is
    spelled. Where the model depends on the split (batch-coupled layers, dropout, carried state), the split is part of
    the meaning.
    """
    meant: dict[str, Any] = {
        "model": _model(model),
        "data": _fields(recipe.data, without=("paths",)),
        "optimizer": {
            **_fields(recipe.optimizer, without=("owner", "implementation", "scaling")),
            **_fields(optimizer, without=("owner", "implementation")),
            "scaling": _scaling(recipe),
        },
        "schedule": {
            **_fields(recipe.schedule, without=("owner", "arguments", *_unused(recipe.schedule, _ADDED))),
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
            meant["splits"] = [_split(each) for each in stage_batches]
        else:
            meant["split"] = _split(batch)
    return meant


def digest(value: Any) -> str:
    """sha256 of plain values, as hexadecimal, whatever the order of their keys."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


def plan_hash(plan: RunPlan) -> str:
    """sha256 of what is rendered from a plan, as hexadecimal; what the ranks of a job compare."""
    return digest(hashed_plan(plan))


def hashed_plan(plan: RunPlan) -> dict[str, Any]:
    """All that is rendered from a plan, as plain values: what its hash is of."""
    stages = plan.stages and tuple(replace(stage, memory=None) for stage in plan.stages)
    told = _told(replace(plan, memory=None, stages=stages))
    plain = {key: value for key, value in told.items() if key not in _NOT_IN_PLAN_HASH}
    plain["model"] = {key: value for key, value in plain["model"].items() if key not in _COUNTS}
    plain["launch"] = {
        key: value for key, value in plain["launch"].items() if key not in {"workdir", "hosts", "allocation"}
    }
    if plan.learning_rate is not None:
        drawn = plan.learning_rate.schedule
        rate = dict(plain["learning_rate"])
        for name in _unused(drawn, _ADDED_TO_PLAN):
            rate["schedule"] = {key: value for key, value in rate["schedule"].items() if key != name}
        plain["learning_rate"] = rate
    plain["data"] = {key: value for key, value in plain["data"].items() if key != "paths"}
    return plain


def _stages(recipe: Recipe) -> list[dict[str, Any]]:
    """What the stages of a recipe mean, whatever notation they were written in: batch and length are filled in."""
    return [
        {
            "until": _canonical(stage.written.until),
            "global_batch_size": stage.global_batch_size,
            "sequence_length": _canonical(stage.recipe.sequence_length),
            **{
                name: _canonical(getattr(stage.written, name))
                for name in _MEANT
                if getattr(stage.written, name) is not None
            },
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


def _unused(value: Any, names: tuple[str, ...]) -> tuple[str, ...]:
    """Those of the fields that are at their default."""
    defaults = {item.name: item.default for item in fields(value)}
    return tuple(name for name in names if getattr(value, name) == defaults[name])


def _fields(value: Any, *, without: tuple[str, ...]) -> dict[str, Any]:
    named = {item.name: getattr(value, item.name) for item in fields(value) if item.name not in without}
    return {name: _canonical(item) for name, item in named.items() if not _holds_nothing(item)}


def _told(value: Any) -> Any:
    """Plain values of a plan; fields that hold nothing are left out, a person's own mappings are whole."""
    if is_dataclass(value) and not isinstance(value, type):
        named = {
            item.name: getattr(value, item.name) for item in fields(value) if "internal" not in item.metadata
        }
        return {name: _told(item) for name, item in named.items() if not _holds_nothing(item)}
    if isinstance(value, list | tuple):
        return [_told(item) for item in value]
    return to_plain(value)


def _holds_nothing(value: Any) -> bool:
    return value is None or (isinstance(value, tuple | Mapping) and not value)


def _canonical(value: Any) -> Any:
    """Plain values in which equal quantities are equal: whole floats are integers, amounts are exact."""
    if isinstance(value, Amount):
        return f"{value.number} {value.unit}".strip()
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, Schedule):
        return _fields(value, without=_unused(value, _ADDED))
    if is_dataclass(value) and not isinstance(value, type):
        return _fields(value, without=())
    if isinstance(value, Mapping):
        return {str(key): _canonical(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_canonical(item) for item in value]
    return value
