"""What DeepSpeed cannot do for a plan, and the keys of its file that the plan owns.

Source: deepspeed@0.19.8 runtime/engine.py, runtime/config.py, accelerator/cpu_accelerator.py:is_fp16_supported.
"""

from __future__ import annotations

from math import log2

from launcher.engines.formats.deepspeed_json import zero_stage
from launcher.engines.formats.deepspeed_optimizer import optimizer_problems
from launcher.engines.formats.limits import cannot
from launcher.errors import Problem
from launcher.spec.plan import RunPlan

__all__ = ["OWNED_KEYS", "deepspeed_limits"]

_BATCH = "write global_batch_size, micro_batch_size or gradient_accumulation_steps"
_MEAN = "leave it out: the plan counts on the mean over ranks"
_PRECISION = "write precision"
_BF16 = "write precision: bf16"
_STAGES = "write stages"

OWNED_KEYS = {
    "train_batch_size": _BATCH,
    "train_micro_batch_size_per_gpu": _BATCH,
    "gradient_accumulation_steps": _BATCH,
    "managed_gradient_accumulation": _BATCH,
    "autotuning": _BATCH,
    "elasticity": _BATCH,
    "prescale_gradients": _MEAN,
    "gradient_predivide_factor": _MEAN,
    "gradient_allreduce_op": _MEAN,
    "gradient_clipping": "write optimizer.gradient_clipping",
    "optimizer": "write optimizer, with owner: engine",
    "scheduler": "write schedule, with owner: engine:WarmupDecayLR",
    "zero_optimization.stage": "write parallel.data.stage",
    "zero_optimization.offload_optimizer.device": "write parallel.data.offload",
    "zero_optimization.offload_param.device": "write parallel.data.offload",
    "zero_optimization.cpu_offload": "write parallel.data.offload",
    "zero_optimization.cpu_offload_param": "write parallel.data.offload",
    "fp16.enabled": _PRECISION,
    "fp16.auto_cast": _PRECISION,
    "fp16.loss_scale": "write precision.loss_scale",
    "fp16.initial_scale_power": "write precision.loss_scale",
    "fp16.fp16_master_weights_and_grads": "write precision.master_weights",
    "bf16.enabled": _PRECISION,
    "bf16.bf16_master_weights_and_grads": "write precision.master_weights",
    "bfloat16": _PRECISION,
    "amp": _PRECISION,
    "torch_autocast": _PRECISION,
    "communication_data_type": "write precision.reduce_dtype",
    "data_types.grad_accum_dtype": "write precision.gradient_dtype",
    "data_types.param_dtype": "write precision.parameter_dtype",
    "tensor_parallel": "write parallel.tensor",
    "pipeline": "write parallel.pipeline",
    "sequence_parallel_size": "write parallel.context",
    "expert_parallel": "write parallel.expert",
    "curriculum_learning": _STAGES,
    "data_efficiency": _STAGES,
}


def deepspeed_limits(plan: RunPlan) -> tuple[Problem, ...]:
    """Strategy, offload, precision and optimizer, where DeepSpeed takes part in training."""
    return (*_strategy(plan), *_offload(plan), *_precision(plan), *_formats(plan), *optimizer_problems(plan))


def _strategy(plan: RunPlan) -> tuple[Problem, ...]:
    if plan.layout.data_strategy != "fsdp":
        return ()
    return (
        cannot(
            "parallel.data.strategy",
            "`parallel.data.strategy: fsdp` is PyTorch's own sharding; DeepSpeed shards by ZeRO",
            hint="write strategy: zero with the same stage, or use launch.engine: accelerate",
        ),
    )


def _offload(plan: RunPlan) -> tuple[Problem, ...]:
    offload, stage = plan.layout.offload, zero_stage(plan)
    path = "parallel.data.offload"
    if offload == "none":
        return ()
    if plan.layout.device_kind == "cpu":
        return (
            cannot(
                path, f"`{path}: {offload}` on CPU: everything is in host memory already", hint="write none"
            ),
        )
    if stage == 0 or (offload == "parameters" and stage < 3):
        needed = "1, 2 or 3" if offload == "optimizer" else "3"
        return (
            cannot(
                path,
                f"`{path}: {offload}` needs ZeRO stage {needed}; the plan has stage {stage}",
                hint=f"write parallel.data.stage: {needed[-1]}",
            ),
        )
    return ()


def _precision(plan: RunPlan) -> tuple[Problem, ...]:
    precision, on_cpu = plan.precision, plan.layout.device_kind == "cpu"
    found = []
    if precision.compute == "fp8" and not on_cpu:
        found.append(
            cannot(
                "precision", "`precision: fp8` is not rendered for DeepSpeed", hint="write precision: bf16"
            )
        )
    if precision.compute == "fp16" and on_cpu:
        found.append(
            cannot(
                "precision",
                "`precision: fp16`: DeepSpeed has no fp16 on CPU",
                hint="write precision: bf16, or fp32",
            )
        )
    initial = precision.loss_scale_initial
    if precision.compute == "fp16" and initial is not None and (initial < 1 or log2(initial) % 1):
        found.append(
            cannot(
                "precision.loss_scale.initial",
                f"`precision.loss_scale.initial: {initial!r}`: DeepSpeed starts at a power of two",
                hint=f"write {2.0 ** max(0, round(log2(initial)))!r}",
            )
        )
    return tuple(found)


def _formats(plan: RunPlan) -> tuple[Problem, ...]:
    """Formats beside the compute format that DeepSpeed has no key for."""
    precision = plan.precision
    found = []
    if precision.parameter_dtype not in {None, precision.compute}:
        found.append(
            ("parameter_dtype", precision.parameter_dtype, f"parameters are kept in {precision.compute}")
        )
    if precision.master_weights is False and precision.compute != "fp32":
        found.append(("master_weights", "false", "fp32 weights are always kept"))
    if precision.autocast:
        found.append(("autocast", "true", "the whole model is cast"))
    if zero_stage(plan) == 0 and precision.gradient_dtype not in {None, precision.compute}:
        found.append(("gradient_dtype", precision.gradient_dtype, f"stage 0 sums in {precision.compute}"))
    return tuple(
        cannot(
            f"precision.{key}",
            f"`precision.{key}: {value}` under DeepSpeed: {instead}",
            hint=f"leave precision.{key} out",
        )
        for key, value, instead in found
    )
