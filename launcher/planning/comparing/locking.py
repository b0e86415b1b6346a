"""The lock of a plan, and the short hashes by which a moved hash is laid to a part."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from launcher.planning.hashes import digest, hashed_plan
from launcher.spec.lock import Lock, LockedMemory, LockedStage
from launcher.spec.plan import RunPlan

__all__ = ["LOCKED_FACTS", "lock_of", "meaning_parts", "plan_parts"]

_SHORT = 8
"""Characters of a part's hash: enough to tell two values of one part apart, few enough for one line."""
_BLOCKS = (
    "batch",
    "layout",
    "model",
    "optimizer",
    "precision",
    "learning_rate",
    "stages",
    "launch",
    "data",
    "loss",
)

LOCKED_FACTS: Mapping[str, str] = {
    "verdict": "verdict",
    "global_batch_size": "batch.global_batch_size",
    "sequence_length": "batch.sequence_length",
    "tokens_per_step": "batch.tokens_per_step",
    "micro_batch_size": "batch.micro_batch_size",
    "gradient_accumulation_steps": "batch.gradient_accumulation_steps",
    "data_parallel_size": "batch.data_parallel_size",
    "world_size": "layout.world_size",
    "engine": "launch.engine",
    "device": "layout.device",
    "num_parameters": "model.num_parameters",
    "peak_learning_rate": "learning_rate.peak_learning_rate",
    "final_learning_rate": "learning_rate.final_learning_rate",
    "warmup_steps": "learning_rate.warmup_steps",
    "warmup_samples": "learning_rate.warmup_samples",
    "total_steps": "learning_rate.total_steps",
    "total_samples": "data.total_samples",
}
"""Field of a lock to the dotted path of the same number in a plan."""


def lock_of(plan: RunPlan, *, recipe: str, cluster: str | None, batchwright: str) -> Lock:
    """What is kept of a plan; recipe: its file's name, cluster: as asked for, batchwright: our version."""
    rate, memory = plan.learning_rate, plan.memory
    return Lock(
        recipe=recipe,
        cluster=cluster,
        batchwright=batchwright,
        verdict=plan.verdict,
        global_batch_size=plan.batch.global_batch_size,
        sequence_length=plan.batch.sequence_length,
        tokens_per_step=plan.batch.tokens_per_step,
        micro_batch_size=plan.batch.micro_batch_size,
        gradient_accumulation_steps=plan.batch.gradient_accumulation_steps,
        data_parallel_size=plan.batch.data_parallel_size,
        world_size=plan.layout.world_size,
        engine=plan.launch.engine,
        device=plan.layout.device,
        num_parameters=plan.model.num_parameters,
        peak_learning_rate=None if rate is None else rate.peak_learning_rate,
        final_learning_rate=None if rate is None else rate.final_learning_rate,
        warmup_steps=None if rate is None else rate.warmup_steps,
        warmup_samples=None if rate is None else rate.warmup_samples,
        total_steps=None if rate is None else rate.total_steps,
        total_samples=plan.data.get("total_samples"),
        memory=None
        if memory is None
        else LockedMemory(
            peak_bytes=memory.peak_bytes, low_bytes=memory.low_bytes, high_bytes=memory.high_bytes
        ),
        stages=_stages(plan),
        meaning=meaning_parts(plan),
        parts=plan_parts(plan),
        semantics_hash=plan.semantics_hash,
        plan_hash=plan.plan_hash,
    )


def meaning_parts(plan: RunPlan) -> dict[str, str]:
    """Part of what training means to its short hash: model, data, optimizer, schedule, stages and so on."""
    return {part: digest(value)[:_SHORT] for part, value in plan.meaning.items()}


def plan_parts(plan: RunPlan) -> dict[str, str]:
    """Part of the plan to its short hash; `settings` are all that is no block of its own."""
    told: Mapping[str, Any] = hashed_plan(plan)
    blocks = {name: digest(told[name])[:_SHORT] for name in _BLOCKS if name in told}
    rest = {name: value for name, value in told.items() if name not in (*_BLOCKS, "semantics_hash")}
    return {**blocks, "settings": digest(rest)[:_SHORT]}


def _stages(plan: RunPlan) -> tuple[LockedStage, ...] | None:
    if plan.stages is None:
        return None
    return tuple(
        LockedStage(
            until=stage.until,
            global_batch_size=stage.batch.global_batch_size,
            sequence_length=stage.batch.sequence_length,
            micro_batch_size=stage.batch.micro_batch_size,
            gradient_accumulation_steps=stage.batch.gradient_accumulation_steps,
            first_step=stage.first_step,
        )
        for stage in plan.stages
    )
