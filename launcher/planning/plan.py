"""From recipe and machines to a plan: pure, all problems at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from launcher.errors import PlanError, Problem
from launcher.planning.applied import applied_by, applied_problems
from launcher.planning.choices import choice_problems
from launcher.planning.coupling.lanes import lane_problems
from launcher.planning.fitting import fitting_problems
from launcher.planning.hashes import digest, meaning, plan_hash
from launcher.planning.launching import (
    checkpoint_block,
    data_block,
    evaluation_block,
    launch_plan,
    recipe_name,
)
from launcher.planning.memory.block import MemoryBlock, solve_memory
from launcher.planning.memory.budget import measured_origins
from launcher.planning.noise.modes import noise_block, noise_origins, noise_problems
from launcher.planning.optimizer import optimizer_origins, optimizer_plan, precision_plan
from launcher.planning.rates import learning_rate_origins
from launcher.planning.sizes import size_problems
from launcher.planning.solving import Parts, solve
from launcher.planning.support import not_yet_used
from launcher.planning.unused import no_effect
from launcher.spec.cluster import Cluster
from launcher.spec.marks import Origin
from launcher.spec.measurement import Measurement
from launcher.spec.plain import to_plain
from launcher.spec.plan import (
    Alternative,
    BatchPlan,
    RunPlan,
)
from launcher.spec.recipe import Recipe

__all__ = ["make_plan"]


def make_plan(
    *, recipe: Recipe, cluster: Cluster, cluster_origin: Origin, measurements: Sequence[Measurement] = ()
) -> RunPlan:
    """The whole plan of a recipe on its machines; warnings and notes are in it.

    measurements: what probes found beside the recipe.
    Raises PlanError with every problem that was found, and with alternatives where the batch does not divide.
    """
    parts = solve(recipe=recipe, cluster=cluster, cluster_origin=cluster_origin, measurements=measurements)
    found = (
        *parts.problems,
        *choice_problems(recipe),
        *_layout_problems(recipe, parts),
        *_lane_problems(recipe, parts),
        *_noise_problems(recipe, parts),
        *size_problems(
            recipe=recipe, model=parts.model.value, layout=parts.layout.value, batches=_batches(recipe, parts)
        ),
        *no_effect(recipe),
        *not_yet_used(recipe),
    )
    problems = _without_echoes(found)
    if any(problem.severity == "error" for problem in problems):
        raise _refusal(recipe=recipe, cluster=cluster, parts=parts, problems=problems)
    return _join(recipe=recipe, cluster=cluster, parts=parts, problems=problems)


def _without_echoes(problems: tuple[Problem, ...]) -> tuple[Problem, ...]:
    """An absent sequence length is one problem, however many amounts of tokens depend on it."""
    absent = any(problem.code == "missing-key" and problem.path == "sequence_length" for problem in problems)
    return tuple(p for p in problems if not (absent and p.code == "tokens-need-sequence-length"))


def _layout_problems(recipe: Recipe, parts: Parts) -> tuple[Problem, ...]:
    layout = parts.layout.value
    if layout is None:
        return ()
    model = parts.model.value
    fitting = () if model is None else fitting_problems(recipe=recipe, model=model, layout=layout)
    applied = applied_by(recipe=recipe, layout=layout)
    return (*fitting, *applied_problems(recipe=recipe, layout=layout, applied=applied))


def _batches(recipe: Recipe, parts: Parts) -> tuple[BatchPlan, ...]:
    """The batch of every stage, or the one that every step has; none where they could not be split."""
    batch = parts.batch.value
    return parts.staging.batches if recipe.stages else () if batch is None else (batch,)


def _lane_problems(recipe: Recipe, parts: Parts) -> tuple[Problem, ...]:
    model, batch, timeline = parts.model.value, parts.batch.value, parts.timeline.value
    if model is None or batch is None or timeline is None:
        return ()
    return lane_problems(recipe=recipe, model=model, batch=batch, timeline=timeline)


def _noise_problems(recipe: Recipe, parts: Parts) -> tuple[Problem, ...]:
    layout, batch = parts.layout.value, parts.batch.value
    if layout is None or batch is None:
        return ()
    return noise_problems(
        recipe=recipe, layout=layout, block=noise_block(recipe=recipe, layout=layout, batch=batch)
    )


def _join(*, recipe: Recipe, cluster: Cluster, parts: Parts, problems: tuple[Problem, ...]) -> RunPlan:
    layout, model, batch = parts.layout.value, parts.model.value, parts.batch.value
    timeline = parts.timeline.value
    assert layout is not None
    assert model is not None
    assert batch is not None
    assert timeline is not None
    optimizer, precision = optimizer_plan(recipe), precision_plan(recipe=recipe, layout=layout)
    size = batch.global_batch_size
    memory = MemoryBlock()
    if not recipe.stages:  # else that of every stage
        memory = solve_memory(
            recipe=recipe,
            cluster=cluster,
            layout=layout,
            batch=batch,
            budget=parts.budget,
            measurements=parts.measurements,
        )
    meant = meaning(
        recipe=recipe,
        model=model,
        batch=batch,
        optimizer=optimizer,
        precision=precision,
        stage_batches=parts.staging.batches,
    )
    plan = RunPlan(
        recipe_name=recipe_name(recipe),
        meaning=meant,
        semantics_hash=digest(meant),
        plan_hash="",
        verdict=memory.verdict,
        problems=(*problems, *memory.problems),
        alternatives=memory.find_ways_out(),
        batch=batch,
        layout=layout,
        model=model,
        optimizer=parts.optimizer.value or optimizer,
        precision=precision,
        learning_rate=parts.learning_rate.value,
        memory=memory.plan,
        launch=launch_plan(recipe=recipe, cluster=cluster, layout=layout),
        data=data_block(recipe=recipe, timeline=timeline),
        loss={"kind": recipe.loss.kind, "weighting": recipe.loss.weighting, "logits": recipe.loss.logits},
        activation_checkpointing=recipe.activation_checkpointing,
        attention=recipe.attention,
        compile=recipe.compile,
        evaluation=evaluation_block(recipe=recipe, global_batch_size=size),
        checkpoint=checkpoint_block(recipe=recipe, global_batch_size=size),
        gradient_noise=noise_block(recipe=recipe, layout=layout, batch=batch),
        seed=recipe.seed,
        applied_by=applied_by(recipe=recipe, layout=layout),
        origins=_origins(recipe, parts),
    )
    plan = parts.staging.carried_into(plan, recipe=recipe, timeline=timeline, measurements=parts.measurements)
    return replace(plan, plan_hash=plan_hash(plan))


def _origins(recipe: Recipe, parts: Parts) -> dict[str, Origin]:
    found = {
        **optimizer_origins(recipe),
        **noise_origins(recipe),
        **parts.origins,
        **measured_origins(parts.budget),
    }
    rate, timeline, size = parts.rate.value, parts.timeline.value, parts.global_batch.value
    if rate is not None and timeline is not None and size is not None:
        found |= learning_rate_origins(recipe=recipe, timeline=timeline, global_batch_size=size)
    return dict(sorted(found.items()))


def _refusal(*, recipe: Recipe, cluster: Cluster, parts: Parts, problems: tuple[Problem, ...]) -> PlanError:
    """The error that carries the problems, the ways out, and whatever of the plan could be solved."""
    ways = _ways_out(recipe=recipe, cluster=cluster, parts=parts)
    shown = {
        "plan_version": 1,
        "recipe_name": recipe_name(recipe),
        "semantics_hash": None,
        "plan_hash": None,
        "verdict": "refused",
        "problems": problems,
        "alternatives": ways,
        "batch": parts.batch.value,
        "layout": parts.layout.value,
        "model": parts.model.value,
        "learning_rate": parts.learning_rate.value,
        "memory": None,
        "time": None,
        "stages": None,
        "applied_by": {},
        "origins": _origins(recipe, parts),
    }
    return PlanError(problems, alternatives=ways, plan=to_plain(shown))


def _ways_out(*, recipe: Recipe, cluster: Cluster, parts: Parts) -> tuple[Alternative, ...]:
    layout, size, batch = parts.layout.value, parts.global_batch.value, parts.batch.value
    if layout is None or size is None:
        return ()
    if batch is not None:
        from launcher.planning.coupling.refused import ways_to_more_samples

        return ways_to_more_samples(recipe=recipe, cluster=cluster, batch=batch)
    from launcher.planning.alternatives import find_alternatives

    return find_alternatives(recipe=recipe, cluster=cluster, layout=layout, global_batch_size=size)
