"""Whether the gradient noise scale can be measured in a run, in which way, and why not where it cannot."""

from __future__ import annotations

from math import ceil
from typing import Any, Literal

from launcher.errors import Problem
from launcher.planning.origins import default, written_or
from launcher.planning.schedule import samples_of
from launcher.spec.marks import Origin
from launcher.spec.noise import GradientNoise
from launcher.spec.plan import BatchPlan, LayoutPlan, RunPlan
from launcher.spec.recipe import Recipe

__all__ = ["Way", "noise_block", "noise_origins", "noise_problems", "way_of"]

Way = Literal["ranks", "micro-batches"]
"""ranks: a rank's own gradient against the mean of all. micro-batches: the first one's against the accumulated."""

_UNSHARDED = "what a rank holds after a backward is a shard of a sum over all ranks"
_NEEDS_TWO = "one rank with one micro-batch has one gradient, and nothing to hold it against"
_REDUCED = "only DistributedDataParallel leaves a rank's own gradient in reach before it is reduced"
_NO_RUNTIME = "launch.runtime is false"
_OFFLOADED = "offloaded gradients are in host memory, in pieces"
_MUON = "DeepSpeed's Muon writes its update over the gradient before its norm is taken"


def noise_block(*, recipe: Recipe, layout: LayoutPlan, batch: BatchPlan) -> dict[str, Any]:
    """asked, way (None: not measured), every_steps, decay, and why it is not measured."""
    asked = _asked(recipe)
    way: Way | None = None
    because: str | None = "gradient_noise is off"
    if asked.mode != "off":
        way, because = _possible(recipe=recipe, layout=layout, batch=batch, asked=asked.mode)
    return {
        "asked": asked.mode,
        "way": way,
        "every_steps": _every_steps(recipe, batch),
        "decay": asked.decay,
        "because": because,
    }


def noise_origins(recipe: Recipe) -> dict[str, Origin]:
    """Origins of what noise_block says."""
    marks = recipe.marks
    written = written_or(marks, "gradient_noise.mode", written_or(marks, "gradient_noise", default()))
    return {
        "gradient_noise.asked": written,
        "gradient_noise.every_steps": written_or(marks, "gradient_noise.every", default()),
        "gradient_noise.decay": written_or(marks, "gradient_noise.decay", default()),
    }


def noise_problems(*, recipe: Recipe, block: dict[str, Any], layout: LayoutPlan) -> tuple[Problem, ...]:
    """A refusal where what was asked for is not possible; a note where the strategy forbids what auto would do."""
    asked, because = block["asked"], block["because"]
    in_stages = _in_stages(recipe)
    if block["way"] is not None or asked == "off":
        return in_stages
    if asked != "auto":
        return (
            *in_stages,
            Problem(
                code="noise-not-measurable",
                path="gradient_noise",
                message=f"`gradient_noise: {asked}` cannot be measured here: {because}",
                hint="write gradient_noise: auto, which measures where it can",
            ),
        )
    if not recipe.launch.runtime or _of_strategy(layout) is None:
        return in_stages
    return (
        *in_stages,
        Problem(
            code="noise-not-measured",
            severity="note",
            path="gradient_noise",
            message=f"the gradient noise scale is not measured: {because}",
        ),
    )


def way_of(plan: RunPlan, batch: BatchPlan) -> Way | None:
    """How a step with this batch is measured; None where it is not. Stages may accumulate or not."""
    block, engine = plan.gradient_noise, plan.launch.engine
    if block is None or block["asked"] == "off" or not plan.launch.runtime:
        return None
    if _of_strategy(plan.layout) or _of_optimizer(engine, plan.optimizer.name):
        return None
    keeps_own = plan.layout.data_strategy == "ddp" and engine != "deepspeed"
    return _of_batch(asked=block["asked"], batch=batch, keeps_own=keeps_own)[0]


def _asked(recipe: Recipe) -> GradientNoise:
    noise = recipe.gradient_noise
    return noise if isinstance(noise, GradientNoise) else GradientNoise(mode=noise)


def _in_stages(recipe: Recipe) -> tuple[Problem, ...]:
    return tuple(
        Problem(
            code="no-effect",
            severity="warning",
            path=f"stages.{number}.gradient_noise",
            message=f"`stages.{number}.gradient_noise` changes nothing: the whole run is measured in one way",
            hint="write gradient_noise above the stages",
        )
        for number, stage in enumerate(recipe.stages)
        if stage.gradient_noise is not None
    )


def _every_steps(recipe: Recipe, batch: BatchPlan) -> int:
    """A mark ends after the first step at or past it."""
    every, size = _asked(recipe).every, batch.global_batch_size
    samples = None if every is None else samples_of(every, recipe=recipe, global_batch_size=size)
    return 1 if samples is None else max(1, ceil(samples / size))


def _possible(
    *, recipe: Recipe, layout: LayoutPlan, batch: BatchPlan, asked: str
) -> tuple[Way | None, str | None]:
    engine = recipe.launch.engine
    if not recipe.launch.runtime:
        return None, _NO_RUNTIME
    forbidden = _of_strategy(layout) or _of_optimizer(engine, recipe.optimizer.name)
    if forbidden:
        return None, forbidden
    keeps_own = layout.data_strategy == "ddp" and engine != "deepspeed"
    return _of_batch(asked=asked, batch=batch, keeps_own=keeps_own)


def _of_strategy(layout: LayoutPlan) -> str | None:
    """Why a data-parallel strategy cannot be measured; None where it can."""
    if layout.data_strategy == "fsdp":
        return f"FSDP shards gradients: {_UNSHARDED}"
    if layout.zero_stage == 3:
        return f"ZeRO-3 shards gradients: {_UNSHARDED}"
    return _OFFLOADED if layout.offload not in {"none", None} else None


def _of_optimizer(engine: str, name: str) -> str | None:
    return _MUON if engine == "deepspeed" and name == "muon" else None


def _of_batch(*, asked: str, batch: BatchPlan, keeps_own: bool) -> tuple[Way | None, str | None]:
    """Accumulation is preferred: one norm of one micro-batch, and no hook in the backward."""
    accumulates, several = batch.gradient_accumulation_steps > 1, batch.data_parallel_size > 1
    if accumulates and asked in {"auto", "micro-batches"}:
        return "micro-batches", None
    if several and keeps_own and asked in {"auto", "ranks"}:
        return "ranks", None
    if not (accumulates or several):
        return None, _NEEDS_TWO
    if asked == "ranks":
        return None, _REDUCED if several else "there is one rank"
    if asked == "micro-batches" or keeps_own:
        return None, "there is one micro-batch per rank"
    return None, f"there is one micro-batch per rank, and {_REDUCED}"
