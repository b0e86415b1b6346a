"""Files that Batchwright rendered itself: what it wrote out of its own accord is no wish of anybody's.

Found by rendering the same settings again: the engines' own tables are the only ones.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

from launcher.engines.foreign.notes import Notes
from launcher.engines.formats.accelerate_json import accelerate_config
from launcher.engines.formats.deepspeed_json import deepspeed_config
from launcher.engines.formats.native import leaves
from launcher.planning.buckets import LARGEST_BUCKET

if TYPE_CHECKING:
    from launcher.spec.plan import RunPlan

__all__ = ["accelerate_without_ours", "deepspeed_without_ours"]

_BUCKETS = ("zero_optimization.reduce_bucket_size", "zero_optimization.allgather_bucket_size")
_OFF = {
    "fp16.loss_scale_window": 1000,
    "fp16.hysteresis": 2,
    "fp16.min_loss_scale": 1,
    "fp16.consecutive_hysteresis": False,
    "fp16.auto_cast": False,
}
"""DeepSpeed's defaults, which many files write out for a format that is not in use. See formats/deepspeed_json.py."""
_WRAPS = (("TRANSFORMER_BASED_WRAP", 0), ("SIZE_BASED_WRAP", 1_000_000))
_WRAP = ("fsdp_config.fsdp_auto_wrap_policy", "fsdp_config.fsdp_min_num_params")


def deepspeed_without_ours(
    config: Mapping[str, Any], notes: Notes, *, ours: bool, on_cpu: bool | None
) -> dict[str, Any]:
    """Leaves of a DeepSpeed JSON that rendering its settings again does not give.

    ours: whether it was rendered here; buckets then follow the size of a model that nobody knows any more. on_cpu:
    None where nothing says it; what either would give is then ours.
    """
    found = {key: value for key, value in leaves(config).items() if key not in _OFF or value != _OFF[key]}
    kinds = ("cpu", "cuda") if on_cpu is None else ("cpu",) if on_cpu else ("cuda",)
    for kind in kinds:
        own = leaves(deepspeed_config(_plan(notes, kind=kind)))
        for key in _BUCKETS:
            if not ours:
                own.pop(key)
            elif _is_bucket(found.get(key)) and kind != "cpu":
                own[key] = found[key]
        found = {key: value for key, value in found.items() if key not in own or own[key] != value}
    return found


def accelerate_without_ours(
    config: Mapping[str, Any], notes: Notes, *, ours: bool, on_cpu: bool | None
) -> dict[str, Any]:
    """The same for an Accelerate file; how FSDP wraps layers follows the kind of the model."""
    found = leaves(config)
    own = leaves(accelerate_config(_plan(notes, kind="cpu" if on_cpu else "cuda")))
    if not ours:
        own = {key: value for key, value in own.items() if key not in _WRAP}
    elif tuple(found.get(key) for key in _WRAP) in _WRAPS:
        own |= {key: found[key] for key in _WRAP}
    return {key: value for key, value in found.items() if key not in own or own[key] != value}


def _is_bucket(value: Any) -> bool:
    """Whether a model might have given this size: see launcher.planning.buckets."""
    return isinstance(value, int) and value % 1_000_000 == 0 and 50_000_000 <= value <= LARGEST_BUCKET


def _plan(notes: Notes, *, kind: str) -> RunPlan:
    """As much of a plan as the engines look at, from what has been read so far."""
    strategy = notes.says("parallel.data.strategy") or "ddp"
    stage = notes.says("parallel.data.stage") or (3 if strategy == "fsdp" else None)
    plan = SimpleNamespace(
        batch=SimpleNamespace(
            slots_per_step=notes.says("global_batch_size"),
            micro_batch_size=notes.says("micro_batch_size"),
            gradient_accumulation_steps=notes.says("gradient_accumulation_steps"),
        ),
        precision=SimpleNamespace(
            compute=notes.says("precision.compute"),
            reduce_dtype=notes.says("precision.reduce_dtype"),
            gradient_dtype=notes.says("precision.gradient_dtype"),
            loss_scale_static=notes.says("precision.loss_scale.static"),
            loss_scale_initial=notes.says("precision.loss_scale.initial"),
            autocast=None,
        ),
        optimizer=SimpleNamespace(
            gradient_clipping=notes.says("optimizer.gradient_clipping"), owner="script"
        ),
        learning_rate=None,
        layout=SimpleNamespace(
            data_strategy=strategy,
            zero_stage=stage,
            offload=notes.says("parallel.data.offload") or "none",
            device_kind=kind,
            num_nodes=notes.says("cluster.nodes") or 1,
            world_size=notes.says("@world_size"),
            fsdp_version=notes.says("parallel.data.version"),
        ),
        model=SimpleNamespace(num_parameters=None, kind="decoder"),
        launch=SimpleNamespace(
            native_deepspeed={}, native_accelerate={}, main_port=None, main_address="127.0.0.1"
        ),
    )
    return cast("RunPlan", plan)
