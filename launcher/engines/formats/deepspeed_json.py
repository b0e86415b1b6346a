"""DeepSpeed's JSON for a plan, complete: no "auto", an optimizer and a scheduler only where DeepSpeed owns them.

Three defaults of DeepSpeed 0.19.8 that would train something else than planned are written out: gradient_clipping
(1.0 where the key is absent), zero_force_ds_cpu_optimizer (refuses the script's optimizer beside offload) and
gradient accumulation in the compute format. Neither prescale_gradients nor gradient_predivide_factor is ever
written: the gradient is the mean over ranks, which the runtime's loss factor counts on.

Source: deepspeed@0.19.8 runtime/config.py, runtime/constants.py, runtime/zero/config.py, runtime/engine.py.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from math import log2
from typing import Any

from launcher.engines.formats.deepspeed_optimizer import optimizer_block
from launcher.engines.formats.deepspeed_scheduler import scheduler_block
from launcher.engines.formats.native import merged
from launcher.planning.buckets import bucket_elements
from launcher.spec.plan import PrecisionPlan, RunPlan

__all__ = ["NEVER", "accumulation_dtype", "deepspeed_config", "deepspeed_text", "zero_stage"]

NEVER = 2_000_000_000  # optimizer steps between two lines on stdout: the run's own log has them

# Elements of stage 3's own limits.
# Source: deepspeed@0.19.8 runtime/zero/config.py:DeepSpeedZeroConfig (its defaults, written out)
_PREFETCH = 50_000_000
_PERSISTENCE = 100_000
_LIVE = 1_000_000_000


def deepspeed_text(plan: RunPlan) -> str:
    """The file, as it is written."""
    return json.dumps(deepspeed_config(plan), indent=2) + "\n"


def deepspeed_config(plan: RunPlan) -> dict[str, Any]:
    """Every key that DeepSpeed would otherwise fill in by itself, and native ones last."""
    batch, precision = plan.batch, plan.precision
    config: dict[str, Any] = {
        # idle slots are trained through with weight zero, so they count here
        "train_batch_size": batch.slots_per_step,
        "train_micro_batch_size_per_gpu": batch.micro_batch_size,
        "gradient_accumulation_steps": batch.gradient_accumulation_steps,
        "gradient_clipping": float(plan.optimizer.gradient_clipping or 0.0),  # 0: none
        "zero_optimization": _zero_block(plan),
        "fp16": _fp16_block(precision),
        "bf16": {"enabled": precision.compute == "bf16"},
        "communication_data_type": precision.reduce_dtype or "fp32",
        "data_types": {"grad_accum_dtype": accumulation_dtype(plan)},
        "zero_allow_untested_optimizer": True,
        "zero_force_ds_cpu_optimizer": False,
        "steps_per_print": NEVER,
        "wall_clock_breakdown": False,
        "memory_breakdown": False,
        "dump_state": False,
    }
    if plan.optimizer.owner == "engine":
        config["optimizer"] = optimizer_block(plan)
    scheduler = scheduler_block(plan)
    if scheduler is None:
        return merged(config, plan.launch.native_deepspeed)
    return {**merged(config, plan.launch.native_deepspeed), "scheduler": scheduler}


def zero_stage(plan: RunPlan) -> int:
    """DeepSpeed's stage: 0 is plain data parallelism."""
    return plan.layout.zero_stage or 0 if plan.layout.data_strategy == "zero" else 0


def accumulation_dtype(plan: RunPlan) -> str:
    """What gradients are summed in over micro-batches: fp32, unless written otherwise or impossible.

    Stage 0 can only sum in the compute format.
    Source: deepspeed@0.19.8 runtime/engine.py:_do_optimizer_sanity_check ("unsupported mix").
    """
    if plan.precision.gradient_dtype is not None:
        return plan.precision.gradient_dtype
    return "fp32" if zero_stage(plan) else plan.precision.compute


def _zero_block(plan: RunPlan) -> dict[str, Any]:
    layout, stage = plan.layout, zero_stage(plan)
    on_cpu = layout.device_kind == "cpu"
    bucket = bucket_elements(num_parameters=plan.model.num_parameters, on_cpu=on_cpu)
    block: dict[str, Any] = {
        "stage": stage,
        "reduce_bucket_size": bucket,
        "allgather_bucket_size": bucket,
        "overlap_comm": stage == 3 and not on_cpu,
        "contiguous_gradients": True,
        "reduce_scatter": True,
        "allgather_partitions": True,
        "round_robin_gradients": False,
        "offload_optimizer": _offload_block(layout.offload != "none"),
        "offload_param": _offload_block(layout.offload == "parameters"),
    }
    if stage == 3:
        block.update(
            stage3_prefetch_bucket_size=min(_PREFETCH, bucket),
            stage3_param_persistence_threshold=_PERSISTENCE,
            stage3_max_live_parameters=_LIVE,
            stage3_max_reuse_distance=_LIVE,
            sub_group_size=_LIVE,
            # without it a script's last save fails after days of training; it costs nothing before
            stage3_gather_16bit_weights_on_model_save=True,
        )
    return block


def _offload_block(enabled: bool) -> Mapping[str, Any]:
    return {"device": "cpu", "pin_memory": True} if enabled else {"device": "none"}


def _fp16_block(precision: PrecisionPlan) -> dict[str, Any]:
    """Loss scaling: static where written, else dynamic from 2**initial_scale_power."""
    if precision.compute != "fp16":
        return {"enabled": False}
    return {
        "enabled": True,
        "auto_cast": False,
        "loss_scale": float(precision.loss_scale_static or 0.0),  # 0: dynamic
        "initial_scale_power": int(log2(precision.loss_scale_initial or 2.0**16)),
        "loss_scale_window": 1000,
        "hysteresis": 2,
        "consecutive_hysteresis": False,
        "min_loss_scale": 1,
    }
