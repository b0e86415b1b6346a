"""What can give way when a plan does not fit, each way tried on the memory model before it is offered."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from launcher.planning.applied import applied_by, applied_problems
from launcher.planning.batch import data_parallel_size, solve_batch, solve_global_batch
from launcher.planning.changed import Key, as_arguments, changed
from launcher.planning.coupling.coupled import coupled_names
from launcher.planning.coupling.ways import change_of_model, without_kept_model
from launcher.planning.fitting import fitting_problems
from launcher.planning.layout import device_of, solve_layout
from launcher.planning.memory.budget import Budget, budget_of
from launcher.planning.memory.verdict import verdict_of
from launcher.planning.model import solve_model
from launcher.spec.cluster import Cluster
from launcher.spec.marks import Origin
from launcher.spec.measurement import Measurement
from launcher.spec.parallel import Parallel
from launcher.spec.plan import Alternative, BatchPlan, LayoutPlan
from launcher.spec.recipe import EncoderDecoderLength, Recipe

__all__ = ["find_ways_out"]

_EXACT = ("batch", "model", "gradient")
_MOST = 10
_FEW = 3
_TRANSFORMERS = ("decoder", "encoder", "encoder-decoder", "moe")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Way:
    """Keys to write, and what that keeps and alters in words."""

    keys: tuple[Key, ...]
    keeps: tuple[str, ...]
    changes: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Tried:
    """A way that leads to a plan that fits or is tight."""

    alternative: Alternative
    fits: bool
    is_model_kept: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class _Asked:
    """The plan that does not fit."""

    recipe: Recipe
    cluster: Cluster
    layout: LayoutPlan
    batch: BatchPlan
    budget: Budget
    measurements: Sequence[Measurement]


def find_ways_out(
    *,
    recipe: Recipe,
    cluster: Cluster,
    layout: LayoutPlan,
    batch: BatchPlan,
    budget: Budget,
    measurements: Sequence[Measurement] = (),
) -> tuple[Alternative, ...]:
    """Changes under which the plan fits or is tight: first those that keep the gradient, then those that do not.

    A change that is not enough by itself is offered together with the ones before it that keep the gradient too.
    """
    asked = _Asked(
        recipe=recipe,
        cluster=cluster,
        layout=layout,
        batch=batch,
        budget=budget,
        measurements=measurements,
    )
    found: dict[tuple[str, ...], _Tried] = {}
    ways = list(_ways(asked))
    for way in ways:
        tried = _tried(asked, way)
        paths = tuple(path for path, _ in way.keys)
        # the first value of the same keys that fits is the one that changes least
        if tried is not None and (paths not in found or (tried.fits and not found[paths].fits)):
            found[paths] = tried
    if len(found) < _FEW:
        kept_split = [way for way in ways if way.keys[0][0] != "micro_batch_size"]
        for some in (kept_split, ways):
            together = _together(asked, some)
            if together is not None:
                found["together", together.alternative.change] = together
    ranked = sorted(found.values(), key=lambda tried: (not tried.fits, not tried.is_model_kept))
    return tuple(tried.alternative for tried in ranked[:_MOST])


def _ways(asked: _Asked) -> Iterator[_Way]:
    yield from _other_micro_batches(asked)
    yield from _same_gradient(asked)
    yield from _sharding(asked)
    yield from _other_optimizer(asked)
    yield from _other_training(asked)


def _together(asked: _Asked, ways: list[_Way]) -> _Tried | None:
    """The fewest leading ways that keep the gradient and together fit, each with the value that saves most."""
    furthest = {tuple(path for path, _ in way.keys): way for way in ways if way.keeps == _EXACT}
    keys: dict[str, object] = {}
    changes: list[str] = []
    for paths, way in furthest.items():
        if any(path in keys for path in paths):
            continue
        keys.update(way.keys)
        changes.extend(way.changes)
        tried = _tried(asked, _Way(keys=tuple(keys.items()), keeps=_EXACT, changes=tuple(changes)))
        if tried is not None:
            return tried if len(changes) > 1 else None  # one alone is offered already
    return None


def _tried(asked: _Asked, way: _Way) -> _Tried | None:
    """The way with its batch and memory; None where it does not plan, or still does not fit."""
    recipe, cluster = changed(recipe=asked.recipe, cluster=asked.cluster, keys=way.keys)
    layout = solve_layout(recipe=recipe, cluster=cluster, cluster_origin=Origin(origin="derived")).value
    size, model = solve_global_batch(recipe).value, solve_model(recipe).value
    if layout is None or size is None or model is None:
        return None
    applied = applied_by(recipe=recipe, layout=layout)
    problems = (
        *fitting_problems(recipe=recipe, model=model, layout=layout),
        *applied_problems(recipe=recipe, layout=layout, applied=applied),
    )
    budget = budget_of(
        recipe=recipe, layout=layout, cluster=cluster, model=model, measurements=asked.measurements
    )
    batch = solve_batch(recipe=recipe, layout=layout, global_batch_size=size, budget=budget).value
    if budget is None or batch is None or any(problem.severity == "error" for problem in problems):
        return None
    estimate = budget.estimate(
        micro_batch_size=batch.micro_batch_size,
        gradient_accumulation_steps=batch.gradient_accumulation_steps,
    )
    verdict = verdict_of(estimate=estimate, usable=budget.usable)
    if verdict not in {"fits", "tight"}:
        return None
    peak = estimate.device.expected
    memory = {"peak_bytes": peak, "high_bytes": estimate.device.high, "verdict": verdict}
    keeps, changes = way.keeps, way.changes
    other = change_of_model(coupled=coupled_names(asked.recipe), before=asked.batch, after=batch)
    if other:
        keeps, changes = without_kept_model(keeps), (*changes, other)
    alternative = Alternative(
        change=as_arguments(way.keys), keeps=keeps, changes=changes, batch=batch, memory=memory
    )
    return _Tried(alternative=alternative, fits=verdict == "fits", is_model_kept=not other)


def _other_micro_batches(asked: _Asked) -> Iterator[_Way]:
    """The largest micro-batch that fits, then the smallest there is, with as much accumulation as each needs.

    The largest may be larger than what was asked for: all sequences of a rank at once accumulate no gradients.
    """
    if asked.recipe.micro_batch_size == "auto":
        return  # it is the largest that fits already
    share = asked.batch.slots_per_step // asked.batch.data_parallel_size
    largest = asked.budget.largest(sequences=share) or 1
    for size in dict.fromkeys((largest, 1)):
        accumulation = share // size
        keys: tuple[Key, ...] = (("micro_batch_size", size),)
        if asked.recipe.gradient_accumulation_steps != "auto":
            keys = (*keys, ("gradient_accumulation_steps", accumulation))
        yield _Way(keys=keys, keeps=_EXACT, changes=(f"micro {size} x accumulation {accumulation}",))


def _same_gradient(asked: _Asked) -> Iterator[_Way]:
    """What computes the same numbers in less memory."""
    recipe = asked.recipe
    if recipe.model.kind in _TRANSFORMERS and recipe.attention == "eager":
        yield _way("attention", "flash", "no score matrix in memory, rounding")
    if recipe.model.kind in _TRANSFORMERS and recipe.loss.logits != "fused":
        yield _way("loss.logits", "fused", "the script's loss")
    if recipe.optimizer.implementation in {"auto", "foreach"}:
        yield _way("optimizer.implementation", "fused", "the optimizer's kernels")
    if recipe.activation_checkpointing == "none" and recipe.attention == "eager":
        yield _way("activation_checkpointing", "selective", "attention computed twice")
    if recipe.activation_checkpointing != "full":
        yield _way("activation_checkpointing", "full", "a third more computation")


def _sharding(asked: _Asked) -> Iterator[_Way]:
    """States divided over the data-parallel ranks, or in host memory."""
    recipe, layout = asked.recipe, asked.layout
    if recipe.model.kind == "module":
        return
    ranks = data_parallel_size(layout)
    data = recipe.parallel.data if isinstance(recipe.parallel, Parallel) else Parallel().data
    if ranks > 1 and data.strategy == "fsdp" and layout.zero_stage == 2:
        yield _way("parallel.data.stage", 3, "parameters gathered twice")
    if data.strategy == "fsdp":
        return
    engine: tuple[Key, ...] = (("launch.engine", "deepspeed"),) if recipe.launch.engine == "torchrun" else ()
    now = layout.zero_stage or 0
    for stage in range(max(1, now + 1), 4) if ranks > 1 else ():
        keys = (*engine, ("parallel.data.strategy", "zero"), ("parallel.data.stage", stage))
        more = "half as much communication again" if stage == 3 else "states shared by the ranks"
        yield _Way(keys=keys, keeps=_EXACT, changes=(more,))
    for stage in sorted({max(2, now), 3 if ranks > 1 else 2}) if data.offload == "none" else ():
        keys = (*engine, ("parallel.data.strategy", "zero"), ("parallel.data.stage", stage))
        yield _Way(
            keys=(*keys, ("parallel.data.offload", "optimizer")),
            keeps=_EXACT,
            changes=("the optimizer step on the host, slow",),
        )


def _other_optimizer(asked: _Asked) -> Iterator[_Way]:
    if asked.recipe.optimizer.name == "adamw":
        yield _Way(
            keys=(("optimizer.name", "adamw-8bit"),),
            keeps=("batch", "model"),
            changes=("optimizer states in 8 bit",),
        )


def _other_training(asked: _Asked) -> Iterator[_Way]:
    """What trains something else: format, adapter, machines, length, width."""
    recipe = asked.recipe
    yield from _lower_precision(asked)
    nodes = asked.cluster.nodes
    if isinstance(nodes, int) and not asked.cluster.groups and recipe.cluster is not None:
        for factor in (2, 4, 8):
            yield _Way(
                keys=(("cluster.nodes", nodes * factor),),
                keeps=("batch", "model", "gradient"),
                changes=(f"nodes {nodes} -> {nodes * factor}",),
            )
    if recipe.model.kind in {"decoder", "moe"} and recipe.model.adapter is None:
        yield _Way(
            keys=(("model.adapter.rank", 16), ("model.adapter.targets", ("q_proj", "v_proj"))),
            keeps=("batch",),
            changes=("only adapters of rank 16 are trained",),
        )
    length = recipe.sequence_length
    if isinstance(length, EncoderDecoderLength) and length.input > 1:
        half = length.input // 2
        yield _Way(
            keys=(("sequence_length.input", half),),
            keeps=("batch", "model"),
            changes=("input context halves, tokens per step too",),
        )
    if isinstance(length, int) and length > 1:
        yield _Way(
            keys=(("sequence_length", length // 2),),
            keeps=("batch", "model"),
            changes=("context halves, tokens per step too",),
        )
    named = recipe.model.preset is not None or recipe.model.config is not None
    if recipe.hidden_size is not None and recipe.hidden_size % 128 == 0 and not named:
        yield _Way(
            keys=(("hidden_size", recipe.hidden_size // 2),),
            keeps=("batch",),
            changes=("another model, half as wide",),
        )


def _lower_precision(asked: _Asked) -> Iterator[_Way]:
    if asked.budget.precision.compute != "fp32":
        return
    name = "bf16" if device_of(asked.layout).has_bf16 else "fp16"
    yield _Way(keys=(("precision", name),), keeps=("batch", "model"), changes=(f"computes in {name}",))


def _way(path: str, value: object, what: str) -> _Way:
    return _Way(keys=((path, value),), keeps=_EXACT, changes=(what,))
