"""Accelerate's configuration file for a plan.

Source: accelerate@1.15.0 commands/config/config_args.py:ClusterConfig, commands/launch.py:_validate_launch_command.
"""

from __future__ import annotations

import json
from typing import Any

from launcher.engines.formats.native import merged
from launcher.planning.placeholders import DEEPSPEED_FILE
from launcher.spec.bundle import RUN_DIR
from launcher.spec.plan import RunPlan

__all__ = [
    "OWNED_KEYS",
    "accelerate_config",
    "accelerate_text",
    "distributed_type",
    "mixed_precision",
    "uses_deepspeed",
]

_CLUSTER = "write cluster"
_NETWORK = "write launch.network"
_STRATEGY = "write parallel.data"
_BATCH = "write gradient_accumulation_steps"
OWNED_KEYS = {
    "compute_environment": _CLUSTER,
    "distributed_type": _CLUSTER,
    "num_processes": _CLUSTER,
    "num_machines": _CLUSTER,
    "machine_rank": _CLUSTER,
    "gpu_ids": "write cluster.devices",
    "use_cpu": "write cluster.device",
    "main_process_ip": _NETWORK,
    "main_process_port": _NETWORK,
    "rdzv_backend": _NETWORK,
    "same_network": _NETWORK,
    "mixed_precision": "write precision",
    "gradient_accumulation_steps": _BATCH,
    "deepspeed_config.deepspeed_config_file": "write launch.native.deepspeed",
    "deepspeed_config.gradient_accumulation_steps": _BATCH,
    "deepspeed_config.gradient_clipping": "write optimizer.gradient_clipping",
    "deepspeed_config.zero_stage": _STRATEGY,
    "deepspeed_config.offload_optimizer_device": _STRATEGY,
    "deepspeed_config.offload_param_device": _STRATEGY,
    "deepspeed_config.deepspeed_multinode_launcher": _STRATEGY,
    # Accelerate takes each FSDP key with its prefix and without
    **{
        f"fsdp_config.{prefix}{key}": _STRATEGY
        for prefix in ("", "fsdp_")
        for key in ("version", "sharding_strategy", "reshard_after_forward", "offload_params")
    },
    "parallelism_config": "write parallel",
    "megatron_lm_config": "write parallel",
    "tpu_name": _CLUSTER,
}

_WRAPPED_BY_LAYER = {"decoder", "encoder", "encoder-decoder", "moe", "vit"}


def accelerate_text(plan: RunPlan) -> str:
    """The file, as it is written."""
    return json.dumps(accelerate_config(plan), indent=2) + "\n"


def accelerate_config(plan: RunPlan) -> dict[str, Any]:
    """Every key that Accelerate would otherwise ask for or guess, and native ones last.

    Over several nodes the command lines say where the ranks meet.
    """
    layout = plan.layout
    config: dict[str, Any] = {
        "compute_environment": "LOCAL_MACHINE",
        "distributed_type": distributed_type(plan),
        "num_machines": layout.num_nodes,
        "num_processes": layout.world_size,  # the total, not per machine
        "machine_rank": 0,  # the others' on their command lines
        "gpu_ids": "all",  # of those that the environment leaves visible
        **(_meeting(plan) if layout.num_nodes == 1 else {}),
        "rdzv_backend": "static",
        "same_network": True,
        "use_cpu": layout.device_kind == "cpu",
        "debug": False,
        "enable_cpu_affinity": False,
        "main_training_function": "main",
    }
    if uses_deepspeed(plan):
        config["deepspeed_config"] = {
            "deepspeed_config_file": f"{RUN_DIR}/{DEEPSPEED_FILE}",
            "deepspeed_multinode_launcher": "standard",
            "zero3_init_flag": layout.zero_stage == 3,
        }
    else:
        config["mixed_precision"] = mixed_precision(plan)
    if layout.data_strategy == "fsdp":
        config["fsdp_config"] = _fsdp_block(plan)
    return merged(config, plan.launch.native_accelerate)


def uses_deepspeed(plan: RunPlan) -> bool:
    """Whether Accelerate hands the model to DeepSpeed."""
    return plan.layout.data_strategy == "zero"


def distributed_type(plan: RunPlan) -> str:
    """Accelerate's word for the launch path; on CPU the GPU one, see launcher/engines/accelerate.py."""
    strategy = plan.layout.data_strategy
    if strategy == "zero":
        return "DEEPSPEED"
    if strategy == "fsdp":
        return "FSDP"
    return "MULTI_HPU" if plan.layout.device_kind == "hpu" else "MULTI_GPU"


def mixed_precision(plan: RunPlan) -> str:
    """What Accelerate casts to, layer by layer; `no` where the script casts the model itself."""
    precision = plan.precision
    return "no" if precision.compute == "fp32" or precision.autocast is False else precision.compute


def _meeting(plan: RunPlan) -> dict[str, Any]:
    port = 0 if plan.launch.main_port is None else plan.launch.main_port
    return {"main_process_ip": plan.launch.main_address, "main_process_port": port}


def _fsdp_block(plan: RunPlan) -> dict[str, Any]:
    """Strings where accelerate's own questionnaire writes strings.

    Source: accelerate@1.15.0 utils/dataclasses.py:FullyShardedDataParallelPlugin.__post_init__.
    """
    layout = plan.layout
    version, whole = layout.fsdp_version or 2, layout.zero_stage == 3
    by_layer = plan.model.kind in _WRAPPED_BY_LAYER
    block: dict[str, Any] = {
        "fsdp_version": version,
        "fsdp_auto_wrap_policy": "TRANSFORMER_BASED_WRAP" if by_layer else "SIZE_BASED_WRAP",
        "fsdp_min_num_params": 0 if by_layer else 1_000_000,
        "fsdp_state_dict_type": "SHARDED_STATE_DICT",
        "fsdp_offload_params": layout.offload == "parameters",
        "fsdp_cpu_ram_efficient_loading": False,
        # the script's: activation_checkpointing reaches it by argument
        "fsdp_activation_checkpointing": False,
    }
    if version == 2:
        return {**block, "fsdp_reshard_after_forward": whole}
    return {
        **block,
        "fsdp_sharding_strategy": "FULL_SHARD" if whole else "SHARD_GRAD_OP",
        "fsdp_reshard_after_forward": "FULL_SHARD" if whole else "SHARD_GRAD_OP",
        "fsdp_backward_prefetch": "BACKWARD_PRE",
        "fsdp_forward_prefetch": False,
        "fsdp_use_orig_params": True,
        "fsdp_sync_module_states": True,
    }
