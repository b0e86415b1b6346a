"""Who carries out each setting of a plan: engine, argument, runtime, or only the script can."""

from __future__ import annotations

from launcher.errors import Problem
from launcher.planning.rates import owner_of
from launcher.planning.schedulers.handing import handed_on, steps_remark
from launcher.spec.parallel import Parallel
from launcher.spec.plan import LayoutPlan
from launcher.spec.recipe import Recipe

__all__ = ["applied_by", "applied_problems"]

# engine -> what it carries out by itself; an engine of another package has to be named in launch.script_applies
_SHARDS = {"deepspeed": ("zero",), "accelerate": ("zero", "fsdp"), "torchrun": ()}
_ACCUMULATES = ("deepspeed", "accelerate")
_CASTS = ("deepspeed", "accelerate")
_CLIPS = ("deepspeed",)

_CARRIED = {
    "activation_checkpointing": ('"{activation_checkpointing}"',),
    "optimizer.rescale.betas": ('"{beta1}"', '"{beta2}"', '"{epsilon}"'),
    "optimizer.rescale.weight_decay": ('"{weight_decay}"',),
    "optimizer.weight_average_decay": ('"{weight_average_decay}"',),
}
"""Settings that a placeholder can carry to the script."""


def applied_by(*, recipe: Recipe, layout: LayoutPlan) -> dict[str, str]:
    """Setting to `engine`, `argument`, `runtime` or `script-must`."""
    engine, runtime = recipe.launch.engine, recipe.launch.runtime
    owned = "engine" if recipe.optimizer.owner == "engine" else ""
    rate_owner = owner_of(recipe)
    found = {
        "micro_batch_size": "runtime" if runtime else _by_argument(recipe, "micro_batch_size"),
        "gradient_accumulation_steps": "runtime" if runtime else _accumulation(recipe),
        "learning_rate": _rate(recipe, rate_owner),
        "sample_order": "runtime" if runtime else "script-must",
        "loss.weighting": "runtime" if runtime else "script-must",
        "loss.logits": "script-must",
        "optimizer": owned or "script-must",
        "precision": "engine" if engine in _CASTS else _by_argument(recipe, "precision"),
        "activation_checkpointing": _by_argument(recipe, "activation_checkpointing"),
        "attention": "script-must",
        "compile": "script-must",
        "seed": _by_argument(recipe, "seed"),
        "data_strategy": "engine" if _engine_shards(engine, layout) else "script-must",
    }
    if recipe.optimizer.weight_decay:
        found["weight_decay"] = owned or _by_argument(recipe, "weight_decay")
    if recipe.optimizer.rescale.betas != "none":
        found["optimizer.rescale.betas"] = owned or _by_argument(recipe, "beta2")
    if recipe.optimizer.rescale.weight_decay != "none":
        found["optimizer.rescale.weight_decay"] = owned or _by_argument(recipe, "weight_decay")
    if recipe.optimizer.weight_average_decay is not None:
        found["optimizer.weight_average_decay"] = _by_argument(recipe, "weight_average_decay")
    if recipe.optimizer.gradient_clipping is not None:
        by_engine = "engine" if engine in _CLIPS else _by_argument(recipe, "gradient_clipping")
        found["gradient_clipping"] = "runtime" if runtime and engine not in _CLIPS else by_engine
    if recipe.model.adapter is not None:
        found["model.adapter"] = "script-must"
    if recipe.model.frozen:
        found["model.frozen"] = "script-must"
    for axis, size in _axes(layout).items():
        if size > 1:
            found[axis] = "script-must"
    return {**found, **dict.fromkeys(_by_script_alone(recipe), "script-must")}


def _by_script_alone(recipe: Recipe) -> list[str]:
    """What is in use, what no engine can do, and what launch.script_applies says that the script does."""
    parallel = recipe.parallel if isinstance(recipe.parallel, Parallel) else Parallel()
    in_use = {
        "virtual_pipeline": parallel.virtual_pipeline > 1,
        "sequence": parallel.sequence,
        "stages": bool(recipe.stages) and not recipe.launch.runtime,
    }
    return [name for name, used in in_use.items() if used and name in recipe.launch.script_applies]


def applied_problems(*, recipe: Recipe, layout: LayoutPlan, applied: dict[str, str]) -> tuple[Problem, ...]:
    """What would be ignored without a word: refused where it would multiply the batch, noted otherwise."""
    return (
        *(_axis_refusal(axis, size) for axis, size in _unapplied_axes(recipe, layout)),
        *_strategy_refusal(recipe, layout),
        *_notes(recipe, applied),
        *_owner_remark(recipe),
        *steps_remark(recipe, owner_of(recipe), processes=layout.world_size),
    )


def _rate(recipe: Recipe, owner: str) -> str:
    """Who sets the learning rate of every step."""
    if owner.startswith("engine:"):
        return "engine"
    if owner.startswith("script:"):
        return "argument" if handed_on(recipe, owner) else "script-must"
    if owner == "runtime" and recipe.launch.runtime:
        return "runtime"
    return _by_argument(recipe, "peak_learning_rate")


def _by_argument(recipe: Recipe, *placeholders: str) -> str:
    texts = (*recipe.launch.args, *recipe.launch.env.values())
    carried = any(f"{{{name}}}" in text for name in placeholders for text in texts)
    return "argument" if carried else "script-must"


def _accumulation(recipe: Recipe) -> str:
    names = ("gradient_accumulation_steps", "gradient_accumulation_steps_all_ranks")
    by_argument = _by_argument(recipe, *names)
    if by_argument == "argument":
        return by_argument
    return "engine" if recipe.launch.engine in _ACCUMULATES else by_argument


def _engine_shards(engine: str, layout: LayoutPlan) -> bool:
    if layout.data_strategy == "ddp":
        return engine in _ACCUMULATES  # both wrap the model themselves
    return layout.data_strategy in _SHARDS.get(engine, ())


def _axes(layout: LayoutPlan) -> dict[str, int]:
    return {
        "tensor": layout.tensor_parallel_size,
        "pipeline": layout.pipeline_parallel_size,
        "context": layout.context_parallel_size,
        "expert": layout.expert_parallel_size,
    }


def _unapplied_axes(recipe: Recipe, layout: LayoutPlan) -> list[tuple[str, int]]:
    declared = recipe.launch.script_applies
    return [
        (axis, size)
        for axis, size in _axes(layout).items()
        if size > 1 and axis not in declared and axis != "expert"  # experts do not change the batch
    ]


def _axis_refusal(axis: str, size: int) -> Problem:
    return Problem(
        code="script-must-apply",
        path=f"parallel.{axis}",
        message=f"`parallel.{axis}: {size}` can only be carried out by the script, and "
        f"`launch.script_applies` does not list {axis}",
        because=(f"a script that ignores it trains a batch {size} times as large",),
        hint=f"write launch.script_applies: [{axis}] once the script does it",
    )


def _strategy_refusal(recipe: Recipe, layout: LayoutPlan) -> tuple[Problem, ...]:
    strategy, engine = layout.data_strategy, recipe.launch.engine
    if strategy == "ddp" or strategy in _SHARDS.get(engine, ()) or strategy in recipe.launch.script_applies:
        return ()
    able = [name for name, shards in _SHARDS.items() if strategy in shards]
    return (
        Problem(
            code="script-must-apply",
            path="parallel.data.strategy",
            message=f"`parallel.data.strategy: {strategy}` is not carried out by {engine}, and "
            f"`launch.script_applies` does not list {strategy}",
            hint=f"use launch.engine: {' or '.join(able)}, or write launch.script_applies: [{strategy}]",
        ),
    )


def _notes(recipe: Recipe, applied: dict[str, str]) -> tuple[Problem, ...]:
    asked = {
        "activation_checkpointing": (recipe.activation_checkpointing, "none"),
        "attention": (recipe.attention, "sdpa"),
        "compile": (str(recipe.compile).lower(), "false"),
        "loss.logits": (recipe.loss.logits, "full"),
        "model.adapter": (recipe.model.adapter.kind if recipe.model.adapter else "none", "none"),
        "model.frozen": (", ".join(recipe.model.frozen), ""),
        "optimizer.rescale.betas": (recipe.optimizer.rescale.betas, "none"),
        "optimizer.rescale.weight_decay": (recipe.optimizer.rescale.weight_decay, "none"),
        "optimizer.weight_average_decay": (_average(recipe), ""),
    }
    return tuple(
        Problem(
            code="nobody-applies",
            severity="note",
            path=path,
            message=f"`{path}: {value}` is for the script to carry out; nothing here passes it on or checks it",
            hint=_carry_hint(path),
        )
        for path, (value, unset) in asked.items()
        if value != unset and applied[path] == "script-must"
    )


def _average(recipe: Recipe) -> str:
    decay = recipe.optimizer.weight_average_decay
    return "" if decay is None else f"{decay:g}"


def _carry_hint(path: str) -> str:
    if path in _CARRIED:
        return f"pass it on: launch.args: [{', '.join(_CARRIED[path])}]"
    return f"make the script do it, or drop {path}"


def _owner_remark(recipe: Recipe) -> tuple[Problem, ...]:
    if recipe.schedule.owner != "runtime" or recipe.launch.runtime:
        return ()
    return (
        Problem(
            code="nobody-applies",
            severity="warning",
            path="schedule.owner",
            message="`schedule.owner: runtime` has no runtime: `launch.runtime` is false",
            hint="write launch.runtime: true, or schedule.owner: script",
        ),
    )
