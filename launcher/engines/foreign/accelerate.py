"""An Accelerate configuration (YAML or JSON) in the words of a recipe.

Source: accelerate@1.15.0 commands/config/config_args.py:ClusterConfig, utils/dataclasses.py.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from launcher.engines.foreign.accelerate_fsdp import read_fsdp
from launcher.engines.foreign.notes import AUTO, Notes
from launcher.engines.foreign.ours import accelerate_without_ours
from launcher.engines.formats.accelerate_json import OWNED_KEYS
from launcher.engines.formats.native import leaves
from launcher.spec.begun import Reading

__all__ = ["looks_like_accelerate", "read_accelerate"]

_TELLING = frozenset({"compute_environment", "distributed_type", "main_training_function", "num_machines"})
_KINDS = frozenset({"MULTI_GPU", "MULTI_HPU", "MULTI_CPU", "NO", "DEEPSPEED", "FSDP", "MEGATRON_LM"})
_PRECISIONS = {"no": "fp32", "fp16": "fp16", "bf16": "bf16", "fp8": "fp8"}
_QUESTIONS = {"machine_rank", "compute_environment", "same_network", "main_training_function", "num_processes",
              "tpu_env", "tpu_name", "tpu_zone", "tpu_use_sudo", "tpu_use_cluster", "downcast_bf16", "debug",
              "enable_cpu_affinity", "commands", "command_file", "rdzv_backend"}  # fmt: skip
"""Answers of its questionnaire that say nothing a plan needs while they are at their default."""
_OFFLOADS = {"offload_optimizer_device": "optimizer", "offload_param_device": "parameters"}
_AXES_IN: Mapping[str, Mapping[str, str]] = {
    "parallelism_config": {"tp_size": "parallel.tensor", "cp_size": "parallel.context"},
    "megatron_lm_config": {
        "tp_degree": "parallel.tensor",
        "pp_degree": "parallel.pipeline",
        "context_parallel_size": "parallel.context",
        "expert_model_parallel_size": "parallel.expert",
    },
}
_NOTHING: tuple[Any, ...] = ("no", "none", False, None, "", {}, [])


def looks_like_accelerate(values: Mapping[str, Any]) -> bool:
    """Whether keys are Accelerate's."""
    return bool(_TELLING & values.keys())


def read_accelerate(
    config: Mapping[str, Any], *, source: str, ours: bool = False, on_cpu: bool | None = None
) -> Reading:
    """All that the file says; keys given on the command line stand in it already.

    ours: whether Batchwright rendered it. on_cpu: of the job, if known.
    """
    notes = Notes(source, "an Accelerate configuration")
    notes.carry("launch.engine", "accelerate", "distributed_type")
    _machines(config, notes)
    _meeting(config, notes)
    kind = str(config.get("distributed_type", "NO")).upper()
    if kind not in _KINDS:
        notes.drop(
            "distributed_type",
            kind,
            "Batchwright has no such way to start",
            "write launch.engine and parallel",
        )
    _precision(config, notes, ours=ours)
    if kind == "FSDP":
        read_fsdp(config.get("fsdp_config"), notes)
    elif kind == "DEEPSPEED":
        _deepspeed(config.get("deepspeed_config"), notes)
    elif kind in _KINDS and kind != "MEGATRON_LM":
        notes.settle("parallel.data.strategy", "distributed_type")
        for path in ("stage", "offload", "version", "shard", "replicate"):
            notes.settle(f"parallel.data.{path}", "distributed_type")
    accumulation = config.get("gradient_accumulation_steps")
    if accumulation is not None:
        notes.carry("gradient_accumulation_steps", accumulation, "gradient_accumulation_steps")
    _compiled(config.get("dynamo_config"), notes)
    _rest(accelerate_without_ours(config, notes, ours=ours, on_cpu=on_cpu), notes, kind=kind)
    return notes.reading()


def _machines(config: Mapping[str, Any], notes: Notes) -> None:
    machines, processes = config.get("num_machines"), config.get("num_processes")
    if isinstance(machines, int) and machines > 0:
        notes.carry("cluster.nodes", machines, "num_machines")
    else:
        machines = 1
    if isinstance(processes, int) and processes > 0:
        notes.carry("@world_size", processes, "num_processes")
        if processes % machines == 0:
            key = (
                "num_processes"
                if machines == 1
                else f"num_processes, the total: {processes} / {machines} machines"
            )
            notes.carry("cluster.devices_per_node", processes // machines, key)
        else:
            why = f"{processes} processes do not divide over {machines} machines"
            notes.drop("num_processes", processes, why, "write cluster.devices_per_node")
    if config.get("use_cpu") is True or config.get("distributed_type") == "MULTI_CPU":
        notes.carry("cluster.device", "cpu", "use_cpu")
    gpus = config.get("gpu_ids")
    if gpus not in (None, "all", ""):
        _devices(str(gpus), notes)
    elif not notes.says("cluster.device"):
        notes.settle("cluster.devices", "gpu_ids")


def _devices(written: str, notes: Notes) -> None:
    numbers = [part.strip() for part in written.split(",")]
    if all(part.isdecimal() for part in numbers):
        notes.carry("cluster.devices", [int(part) for part in numbers], "gpu_ids")
    else:
        notes.drop("gpu_ids", written, "not a list of device numbers", "write cluster.devices")


def _meeting(config: Mapping[str, Any], notes: Notes) -> None:
    address, port = config.get("main_process_ip"), config.get("main_process_port")
    alone = config.get("num_machines", 1) == 1
    if address and not (alone and address in ("127.0.0.1", "localhost")):
        notes.carry("launch.network.main_address", address, "main_process_ip")
    elif address:
        notes.settle("launch.network.main_address", "main_process_ip")
    if port:
        notes.carry("launch.network.port", port, "main_process_port")
    elif port == 0:
        notes.settle("launch.network.port", "main_process_port")


def _precision(config: Mapping[str, Any], notes: Notes, *, ours: bool) -> None:
    written = config.get("mixed_precision")
    if written is None:
        return
    word = "no" if written is False else str(written)
    if word in _PRECISIONS:
        unsure = "the script may cast the model itself" if ours and word == "no" else ""
        notes.carry("precision.compute", _PRECISIONS[word], "mixed_precision", unsure=unsure)
    else:
        notes.drop("mixed_precision", written, "not a precision of a recipe", "write precision")


def _deepspeed(block: Any, notes: Notes) -> None:
    """Accelerate's own few words for DeepSpeed, or the name of DeepSpeed's file."""
    block = block if isinstance(block, Mapping) else {}
    notes.carry("parallel.data.strategy", "zero", "distributed_type")
    if path := block.get("deepspeed_config_file"):
        notes.refer(str(path), "deepspeed_config.deepspeed_config_file")
        return
    stage = block.get("zero_stage")
    if isinstance(stage, int):
        notes.carry("parallel.data.stage", stage, "deepspeed_config.zero_stage")
    elif stage is not None:
        notes.drop("deepspeed_config.zero_stage", stage, "not a stage", "write parallel.data.stage")
    offload = "none"
    for key, word in _OFFLOADS.items():
        device = block.get(key)
        if device == "cpu":
            offload = word
            notes.carry("parallel.data.offload", word, f"deepspeed_config.{key}")
        elif device not in (None, "none", False):
            hint = f"write parallel.data.offload: {word} to keep it in host memory instead"
            notes.drop(f"deepspeed_config.{key}", device, "only host memory is carried out", hint)
    if offload == "none":
        notes.settle("parallel.data.offload", "deepspeed_config")
    _numbers(block, notes)


def _numbers(block: Mapping[str, Any], notes: Notes) -> None:
    for key, path in (
        ("gradient_accumulation_steps", "gradient_accumulation_steps"),
        ("gradient_clipping", "optimizer.gradient_clipping"),
    ):
        value = block.get(key)
        if value == AUTO:
            notes.drop(f"deepspeed_config.{key}", value, "left for the Trainer to fill in", f"write {path}")
        elif isinstance(value, int | float) and value > 0:
            notes.carry(path, value, f"deepspeed_config.{key}")


def _compiled(block: Any, notes: Notes) -> None:
    backend = block.get("dynamo_backend") if isinstance(block, Mapping) else None
    if backend is None or str(backend).lower() == "no":
        return
    notes.carry("compile", True, "dynamo_config.dynamo_backend")
    if str(backend).lower() != "inductor":
        why = "a recipe says only whether the model is compiled"
        notes.drop("dynamo_config.dynamo_backend", backend, why, "compile in the script with this backend")


def _rest(config: Mapping[str, Any], notes: Notes, *, kind: str) -> None:
    """Keys that a recipe does not know go on to Accelerate; those that the plan owns cannot."""
    read = {"distributed_type", "num_machines", "num_processes", "use_cpu", "gpu_ids", "main_process_ip",
            "main_process_port", "mixed_precision", "gradient_accumulation_steps"}  # fmt: skip
    notes.settle("launch.native.accelerate", "no key that a recipe does not know")
    for key, value in leaves(config).items():
        head, _, tail = key.partition(".")
        if key in read or head == "dynamo_config" or (head == "deepspeed_config" and kind != "DEEPSPEED"):
            continue
        if (head == "fsdp_config" and kind != "FSDP") or _is_read(head, tail):
            continue
        if head in _QUESTIONS and head not in OWNED_KEYS and value in _NOTHING:
            continue
        if head in _AXES_IN:
            _axis(head, tail.removeprefix("megatron_lm_").removeprefix("parallelism_config_"), value, notes)
            continue
        owner = next((owned for owned in OWNED_KEYS if key == owned or key.startswith(f"{owned}.")), None)
        if owner is None:
            if value not in _NOTHING or head.endswith("_config"):
                notes.carry(f"launch.native.accelerate.{key}", value, key)
        elif value not in _NOTHING and head not in _QUESTIONS:
            why = "the plan decides this, and a recipe has other words for it"
            notes.drop(key, value, why, OWNED_KEYS[owner])


def _axis(block: str, key: str, value: Any, notes: Notes) -> None:
    """Sizes of the axes; what else these blocks say is not rendered."""
    path = _AXES_IN[block].get(key)
    if path is not None and isinstance(value, int):
        if value > 1:
            notes.carry(path, value, f"{block}.{key}")
        else:
            notes.settle(path, f"{block}.{key}")
    elif value not in _NOTHING and value != 1:
        hint = "write parallel, and let the script carry it out"
        notes.drop(f"{block}.{key}", value, "Batchwright renders no such block", hint)


def _is_read(head: str, tail: str) -> bool:
    """What _deepspeed and read_fsdp have read."""
    if head == "deepspeed_config":
        return tail in {"deepspeed_config_file", "deepspeed_multinode_launcher", "zero_stage", "gradient_clipping",
                        "gradient_accumulation_steps", "zero3_init_flag", *_OFFLOADS}  # fmt: skip
    return head == "fsdp_config" and tail.removeprefix("fsdp_") in {
        "version", "sharding_strategy", "reshard_after_forward", "offload_params",
    }  # fmt: skip
