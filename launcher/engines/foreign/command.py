"""A launcher's command line in the words of a recipe: machines, meeting place, script, arguments, environment."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from launcher.engines.foreign.launch_words import LaunchWords
from launcher.engines.foreign.machines import UNKNOWN, read_machines
from launcher.engines.foreign.notes import Notes
from launcher.engines.foreign.surroundings import escaped, read_environment
from launcher.engines.formats.deepspeed_pdsh import PDSH
from launcher.spec.begun import Reading

__all__ = ["accelerate_flags", "read_command"]

_ENGINES = {
    "torchrun": "torchrun",
    "accelerate": "accelerate",
    "deepspeed": "deepspeed",
    "deepspeed-node": "deepspeed",
}
_STANDING = {
    "m",
    "module",
    "no_local_rank",
    "node_rank",
    "machine_rank",
    "use_env",
    "config_file",
    "local_addr",
    "standalone",
}
"""Flags that say how the tool is called, or which node this is: the engine renders its own."""
_READ = {
    "torchrun": {"nnodes", "nproc_per_node", "master_addr", "master_port", "rdzv_endpoint", "rdzv_backend", "rdzv_id",
                 "rdzv_conf", "max_restarts", "no_python", "run_path"},
    "deepspeed": {"num_nodes", "num_gpus", "num_accelerators", "include", "i", "exclude", "e", "hostfile", "H",
                  "master_addr", "master_port", "world_info", "no_python", "autotuning"},
}  # fmt: skip


def read_command(
    words: LaunchWords, *, source: str, env: Mapping[str, str], folder: str | None = None
) -> Reading:
    """All that one launch says, but for what accelerate's flags say in the place of its file: see accelerate_flags.

    env: variables set for it. folder: that the shell enters before.
    """
    notes = Notes(source, "a command line")
    tool = words.tool.name
    notes.carry("@tool", tool, "")
    notes.carry("launch.engine", _ENGINES[tool], _named(words))
    if words.is_ours:
        notes.carry("@ours", True, "batchwright_witness")
    read_machines(words, notes)
    _script(words, notes, folder=folder)
    read_environment(env, words, notes)
    _native(words, notes)
    _before(words, notes)
    return notes.reading()


def accelerate_flags(words: LaunchWords) -> tuple[dict[str, Any], str | None]:
    """Accelerate's flags as keys of its configuration file, which they overrule; and the file they name."""
    config: dict[str, Any] = {}
    for name, value in words.flags:
        if name in {"use_deepspeed", "use_fsdp", "multi_gpu", "use_megatron_lm"}:
            kinds = {"use_deepspeed": "DEEPSPEED", "use_fsdp": "FSDP", "use_megatron_lm": "MEGATRON_LM"}
            config["distributed_type"] = kinds.get(name, "MULTI_GPU")
        elif name == "cpu":
            config["use_cpu"] = True
        elif name.startswith("fsdp_"):
            config.setdefault("fsdp_config", {})[name] = _typed(value)
        elif name in _OF_DEEPSPEED:
            config.setdefault("deepspeed_config", {})[name] = _typed(value)
        elif name.startswith("dynamo_"):
            config.setdefault("dynamo_config", {})[name] = _typed(value)
        elif name in _OF_FILE:
            config[name] = _typed(value) if name != "gpu_ids" else value
    return config, words.flag("config_file")


_OF_FILE = {"mixed_precision", "num_processes", "num_machines", "gpu_ids", "main_process_ip", "main_process_port",
            "machine_rank", "rdzv_backend", "same_network", "downcast_bf16", "enable_cpu_affinity"}  # fmt: skip
_OF_DEEPSPEED = {"deepspeed_config_file", "zero_stage", "offload_optimizer_device", "offload_param_device",
                 "gradient_accumulation_steps", "gradient_clipping", "zero3_init_flag", "zero3_save_16bit_model",
                 "deepspeed_multinode_launcher", "deepspeed_hostfile"}  # fmt: skip


def _named(words: LaunchWords) -> str:
    return words.tool.name if words.tool.name != "deepspeed-node" else "deepspeed.launcher.launch"


def _script(words: LaunchWords, notes: Notes, *, folder: str | None) -> None:
    if words.flag("no_python") is not None:
        hint = "write launch.script for a Python script"
        notes.drop("--no_python", words.script, "Batchwright starts Python scripts and modules only", hint)
    elif words.script is not None:
        notes.carry("launch.script", words.script, "the script")
        notes.settle("launch.module", "the script")
    elif words.module is not None:
        notes.carry("launch.module", words.module, "-m")
        notes.settle("launch.script", "-m")
    if words.args:
        notes.carry("launch.args", list(map(escaped, words.args)), "what follows the script")
    else:
        notes.settle("launch.args", "nothing follows the script")
    for at, word in enumerate(words.args):
        if UNKNOWN.search(word) and not words.is_ours:
            why = "a shell fills this in; here it would be handed on as it stands"
            notes.drop(f"argument {at + 1}", word, why, f"write its value at launch.args.{at}")
    if words.tool.python is not None and words.tool.name != "deepspeed-node":
        plain = words.tool.python in {"python", "python3"}
        if plain:
            notes.settle("launch.python", f"{words.tool.python} -m")
        else:
            notes.carry("launch.python", words.tool.python, f"{words.tool.python} -m")
    elif words.tool.name != "deepspeed-node":
        notes.settle("launch.python", _named(words))
    if folder is not None:
        notes.carry("launch.workdir", folder, "cd")


def _native(words: LaunchWords, notes: Notes) -> None:
    """Flags that a recipe does not know go on to the tool."""
    read = _READ.get(words.tool.name.removesuffix("-node"), set())
    taken = accelerate_flags(words)[0] if words.tool.name == "accelerate" else {}
    inner = {key for value in taken.values() if isinstance(value, dict) for key in value}
    switches = {
        "cpu",
        "multi_gpu",
        "use_deepspeed",
        "use_fsdp",
        "use_megatron_lm",
        "max_restarts",
        "no_python",
    }
    left: list[str] = []
    for (name, _), written in zip(words.flags, words.written, strict=True):
        known = _STANDING | read | taken.keys() | inner
        if name not in known and not (words.tool.name == "accelerate" and name in switches):
            left.extend(written)
    if words.is_ours and words.flag("hostfile") not in (None, "/dev/null") and not left:
        left.extend(PDSH)
    if left:
        notes.carry("launch.native.argv", left, "flags before the script")
    else:
        notes.settle("launch.native.argv", "flags before the script")


def _before(words: LaunchWords, notes: Notes) -> None:
    before = [word for word in words.before if word not in {"env", "nohup", "time", "exec", "sudo"}]
    if before and not words.is_ours:
        hint = "write launch.executor, launch.setup or launch.container"
        notes.drop("before the launcher", " ".join(before), "Batchwright writes what stands before it", hint)
    if not before:
        for path in ("launch.setup", "launch.container"):
            notes.settle(path, _named(words))


def _typed(value: str | None) -> Any:
    if value is None:
        return True
    if value.isdecimal():
        return int(value)
    try:
        return float(value) if re.fullmatch(r"[0-9.]+(e-?[0-9]+)?", value) else value
    except ValueError:
        return value
