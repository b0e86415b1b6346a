"""Sample plans, built by hand: every engine renders those it can, without a recipe and without the planner."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from fractions import Fraction
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

__all__ = ["HOSTILE", "changed", "sample_plans"]

HOSTILE = (
    "$(id)",
    "`id`",
    "it's",
    'say "x"',
    "two  words",
    "a;b|c&d>e",
    "line\nbreak",
    "back\\slash",
    "~/*?[a]",
    "",
    "--",
    "--no",
    "--log=5",
    "-m",
    "\u00e9\u4e2d",
    "{{seed}}",
    "%n %h $HOME",
)
"""Arguments that some shell or parser on the way would read; as a recipe writes them, so braces stand double."""


def sample_plans() -> Mapping[str, RunPlan]:
    """Case name to plan: CPU and GPU, one node and eight, every strategy and precision, odd words."""
    cpu = _plan()
    gpu = _on_gpus(_plan())
    many = _on_gpus(_plan(), num_nodes=8, devices_per_node=8)
    return {
        "cpu-1x1": _ranks(cpu, num_nodes=1, devices_per_node=1),
        "cpu-1x2": cpu,
        "cpu-1x2-hostile": changed(
            cpu, launch={"args": HOSTILE, "env": {"NOTE": HOSTILE[0], "LINES": "a\nb"}}
        ),
        "cpu-1x2-zero2": _sharded(cpu, strategy="zero", stage=2),
        "cpu-1x2-idle": changed(cpu, batch={"global_batch_size": 11, "slots_per_step": 12, "idle_slots": 1}),
        "cpu-2x1-hostile": changed(
            _ranks(cpu, num_nodes=2, devices_per_node=1),
            launch={"args": HOSTILE, "env": {"NOTE": HOSTILE[0], "LINES": "a\nb"}},
        ),
        "gpu-1x2-devices": changed(gpu, layout={"devices": (2, 3)}),
        "gpu-8x8-zero3": _sharded(many, strategy="zero", stage=3),
        "gpu-1x2-fp16-offload": _offloaded(gpu),
        "gpu-1x2-fsdp2": _sharded(gpu, strategy="fsdp", stage=3, version=2),
        "gpu-8x8-fsdp1": _sharded(many, strategy="fsdp", stage=2, version=1),
        "gpu-8x8": changed(
            many, launch={"main_address": "10.0.0.7", "main_port": 6000, "python": "/opt/py/bin/python"}
        ),
        "gpu-1x2-native": _with_native(gpu),
        "cpu-1x2-bare": changed(
            replace(cpu, learning_rate=None, data={}),
            launch={"script": None, "module": "package.train", "args": (), "env": {}, "runtime": True},
            optimizer={"gradient_clipping": None},
        ),
    }


def changed(plan: RunPlan, **blocks: Mapping[str, Any]) -> RunPlan:
    """The plan with fields of its blocks replaced; blocks by name: `batch={"idle_slots": 1}`."""
    return replace(plan, **{name: replace(getattr(plan, name), **fields) for name, fields in blocks.items()})


def _plan() -> RunPlan:
    """Two CPU processes, 12 sequences = 2 micro x 3 accumulation x 2."""
    return RunPlan(
        recipe_name="sample",
        semantics_hash="5e" * 32,
        plan_hash="9a" * 32,
        verdict="unknown-memory",
        problems=(),
        alternatives=(),
        batch=BatchPlan(
            global_batch_size=12,
            micro_batch_size=2,
            gradient_accumulation_steps=3,
            data_parallel_size=2,
            slots_per_step=12,
            idle_slots=0,
            sequence_length=128,
            tokens_per_step=12 * 128,
        ),
        layout=_layout(),
        model=_model(),
        optimizer=OptimizerPlan(
            name="adamw",
            owner="script",
            betas=(0.9, 0.95),
            momentum=0.0,
            nesterov=False,
            epsilon=1e-8,
            weight_decay=0.1,
            gradient_clipping=1.0,
        ),
        precision=PrecisionPlan(compute="fp32"),
        learning_rate=_learning_rate(),
        launch=_launch(),
        data={
            "num_samples": 4800,
            "total_samples": 4800,
            "total_steps": 400,
            "drop_last": False,
            "kind": "map",
        },
        loss={"kind": "cross_entropy", "weighting": "tokens", "logits": "full"},
        activation_checkpointing="none",
        attention="sdpa",
        compile=False,
        evaluation=None,
        checkpoint=None,
        seed=17,
        applied_by={},
        origins={},
    )


def _layout() -> LayoutPlan:
    return LayoutPlan(
        world_size=2,
        num_nodes=1,
        devices_per_node=2,
        tensor_parallel_size=1,
        pipeline_parallel_size=1,
        context_parallel_size=1,
        expert_parallel_size=1,
        data_strategy="ddp",
        zero_stage=None,
    )


def _model() -> ModelPlan:
    return ModelPlan(
        kind="decoder",
        hidden_size=64,
        num_layers=1,
        num_attention_heads=1,
        num_key_value_heads=1,
        head_dim=64,
        intermediate_size=256,
        vocab_size=512,
        num_parameters=90_000_000,
    )


def _learning_rate() -> LearningRatePlan:
    schedule = SchedulePlan(
        peak_learning_rate=0.1 + 0.2,  # 0.30000000000000004: only the shortest round trip prints it right
        start_learning_rate=0.0,
        final_learning_rate=3e-05,
        warmup_samples=Fraction(120),
        decay="cosine",
        decay_samples=None,
        decay_shape="linear",
        total_samples=Fraction(4800),
        first_step="one-batch",
    )
    return LearningRatePlan(
        scaling_rule="none",
        scale=1.0,
        reference_learning_rate=None,
        peak_learning_rate=schedule.peak_learning_rate,
        final_learning_rate=schedule.final_learning_rate,
        warmup_samples=120,
        warmup_steps=10,
        total_steps=400,
        total_samples=4800,
        owner="script",
        curve=((12, 0.03), (4800, 3e-05)),
        schedule=schedule,
    )


def _launch() -> LaunchPlan:
    return LaunchPlan(
        engine="torchrun",
        executor="local",
        script="train.py",
        module=None,
        args=("--lr", "{peak_learning_rate}", "--micro={micro_batch_size}", "--plan", "{plan}"),
        env={"NCCL_DEBUG": "WARN", "STEPS": "{total_steps}"},
        pass_env=(),
        python="python3",
        workdir="/work",
        runtime=False,
        main_address="127.0.0.1",
        main_port=None,
        native_deepspeed={},
        native_accelerate={},
        native_argv=(),
        threads_per_process=1,
        handshake_seconds=60.0,
        stall_seconds=600.0,
        grace_seconds=90.0,
    )


def _ranks(plan: RunPlan, *, num_nodes: int, devices_per_node: int) -> RunPlan:
    world = num_nodes * devices_per_node
    slots = plan.batch.micro_batch_size * plan.batch.gradient_accumulation_steps * world
    return changed(
        plan,
        layout={"world_size": world, "num_nodes": num_nodes, "devices_per_node": devices_per_node},
        batch={
            "global_batch_size": slots,
            "data_parallel_size": world,
            "slots_per_step": slots,
            "tokens_per_step": slots * 128,
        },
        launch={"main_address": "127.0.0.1" if num_nodes == 1 else "auto"},
    )


def _on_gpus(plan: RunPlan, *, num_nodes: int = 1, devices_per_node: int = 2) -> RunPlan:
    return changed(
        _ranks(plan, num_nodes=num_nodes, devices_per_node=devices_per_node),
        layout={"device": "h100-sxm-80gb", "device_kind": "cuda", "backend": "nccl"},
        precision={"compute": "bf16"},
    )


def _sharded(plan: RunPlan, *, strategy: str, stage: int, version: int | None = None) -> RunPlan:
    return changed(plan, layout={"data_strategy": strategy, "zero_stage": stage, "fsdp_version": version})


def _offloaded(plan: RunPlan) -> RunPlan:
    return changed(
        _sharded(plan, strategy="zero", stage=3),
        layout={"offload": "parameters"},
        precision={"compute": "fp16", "loss_scale_initial": 1024.0},
        optimizer={"owner": "engine", "gradient_clipping": None},
    )


def _with_native(plan: RunPlan) -> RunPlan:
    return changed(
        plan,
        launch={
            "native_deepspeed": {
                "aio": {"queue_depth": 8},
                "zero_optimization": {"round_robin_gradients": True},
            },
            "native_accelerate": {"enable_cpu_affinity": True},
        },
    )
