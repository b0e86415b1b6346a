"""A plan by hand, for tests of the witness: only the numbers that it looks at are chosen."""

from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path
from typing import Any

from launcher.spec.plan import (
    BatchPlan,
    LaunchPlan,
    LayoutPlan,
    LearningRatePlan,
    ModelPlan,
    OptimizerPlan,
    PrecisionPlan,
    RunPlan,
    SchedulePlan,
)

__all__ = ["plan_by_hand", "schedule_by_hand", "write_plan"]


def schedule_by_hand(
    *, peak: float, warmup_samples: int = 0, total_samples: int | None = None
) -> SchedulePlan:
    """Linear warmup from zero, then a cosine to zero when the end is known."""
    return SchedulePlan(
        peak_learning_rate=peak,
        start_learning_rate=0.0,
        final_learning_rate=0.0,
        warmup_samples=Fraction(warmup_samples),
        decay="constant" if total_samples is None else "cosine",
        decay_samples=None,
        decay_shape="linear",
        total_samples=None if total_samples is None else Fraction(total_samples),
        first_step="one-batch",
    )


def plan_by_hand(
    *,
    micro: int = 2,
    accumulation: int = 2,
    ranks: int = 2,
    peak: float | None = None,
    warmup_steps: int = 0,
    total_steps: int | None = None,
    sequence_length: int | None = 16,
    runtime: bool = False,
    precision: str = "fp32",
    data: dict[str, Any] | None = None,
    origins: dict[str, Any] | None = None,
) -> RunPlan:
    """A plan of micro x accumulation x ranks sequences per optimizer step on one node."""
    batch = micro * accumulation * ranks
    rate = None
    if peak is not None:
        schedule = schedule_by_hand(
            peak=peak,
            warmup_samples=warmup_steps * batch,
            total_samples=None if total_steps is None else total_steps * batch,
        )
        rate = LearningRatePlan(
            scaling_rule="none",
            scale=1.0,
            reference_learning_rate=None,
            peak_learning_rate=peak,
            final_learning_rate=0.0,
            warmup_samples=warmup_steps * batch,
            warmup_steps=warmup_steps,
            total_steps=total_steps,
            total_samples=None if total_steps is None else total_steps * batch,
            owner="script",
            curve=(),
            schedule=schedule,
        )
    return RunPlan(
        recipe_name="by-hand",
        semantics_hash="0" * 64,
        plan_hash="1" * 64,
        verdict="unknown-memory",
        problems=(),
        alternatives=(),
        batch=BatchPlan(
            global_batch_size=batch,
            micro_batch_size=micro,
            gradient_accumulation_steps=accumulation,
            data_parallel_size=ranks,
            slots_per_step=batch,
            idle_slots=0,
            sequence_length=sequence_length,
            tokens_per_step=None if sequence_length is None else batch * sequence_length,
        ),
        layout=LayoutPlan(
            world_size=ranks,
            num_nodes=1,
            devices_per_node=ranks,
            tensor_parallel_size=1,
            pipeline_parallel_size=1,
            context_parallel_size=1,
            expert_parallel_size=1,
            data_strategy="ddp",
            zero_stage=None,
        ),
        model=ModelPlan(
            kind="decoder",
            hidden_size=32,
            num_layers=1,
            num_attention_heads=1,
            num_key_value_heads=1,
            head_dim=32,
            intermediate_size=64,
            vocab_size=64,
        ),
        optimizer=OptimizerPlan(
            name="adamw",
            owner="script",
            betas=(0.9, 0.999),
            momentum=0.0,
            nesterov=False,
            epsilon=1e-8,
            weight_decay=0.0,
            gradient_clipping=None,
        ),
        precision=PrecisionPlan(compute=precision),  # type: ignore[arg-type]
        learning_rate=rate,
        launch=LaunchPlan(
            engine="torchrun",
            executor="local",
            script="train.py",
            module=None,
            args=(),
            env={},
            pass_env=(),
            python="python3",
            workdir="/",
            runtime=runtime,
            main_address="127.0.0.1",
            main_port=None,
            native_deepspeed={},
            native_accelerate={},
            native_argv=(),
            threads_per_process=1,
            handshake_seconds=60.0,
            stall_seconds=600.0,
            grace_seconds=90.0,
        ),
        data=data or {},
        loss={},
        activation_checkpointing="none",
        attention="sdpa",
        compile=False,
        evaluation=None,
        checkpoint=None,
        seed=0,
        applied_by={},
        origins=origins or {},
    )


def write_plan(plan: RunPlan, folder: Path) -> Path:
    """plan.json in the folder."""
    path = folder / "plan.json"
    path.write_text(json.dumps(plan.to_dict(), indent=1), encoding="utf-8")
    return path
