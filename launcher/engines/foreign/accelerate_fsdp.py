"""Accelerate's FSDP settings in the words of a recipe; keys with and without their prefix.

Source: accelerate@1.15.0 utils/dataclasses.py:FullyShardedDataParallelPlugin; torch.distributed.fsdp.ShardingStrategy.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from launcher.engines.foreign.notes import Notes

__all__ = ["read_fsdp"]

_STRATEGIES = {
    "1": "FULL_SHARD", "2": "SHARD_GRAD_OP", "3": "NO_SHARD", "4": "HYBRID_SHARD", "5": "HYBRID_SHARD_ZERO2",
}  # fmt: skip
"""Older files say a number."""
_STAGES = {"FULL_SHARD": 3, "SHARD_GRAD_OP": 2}


def read_fsdp(block: Any, notes: Notes) -> None:
    """Version, what is sharded, and whether it is kept in host memory."""
    found = (
        {str(key).removeprefix("fsdp_"): value for key, value in block.items()}
        if isinstance(block, Mapping)
        else {}
    )
    where = "fsdp_config.fsdp_"
    notes.carry("parallel.data.strategy", "fsdp", "distributed_type")
    version = found.get("version")
    said = "version" if version is not None else "version, Accelerate's default"
    version = 2 if str(version) == "2" else 1
    notes.carry("parallel.data.version", version, f"{where}{said}")
    if version == 2:
        whole = str(found.get("reshard_after_forward", True)).lower() in {"true", "full_shard", "1"}
        notes.carry("parallel.data.stage", 3 if whole else 2, f"{where}reshard_after_forward")
    else:
        _strategy(found, notes, where)
    _offload(found.get("offload_params"), notes, where)
    for path in ("shard", "replicate"):
        notes.settle(f"parallel.data.{path}", "fsdp_config")


def _strategy(found: Mapping[str, Any], notes: Notes, where: str) -> None:
    written = found.get("sharding_strategy", found.get("reshard_after_forward", "FULL_SHARD"))
    name = _STRATEGIES.get(str(written), str(written).upper())
    key = f"{where}{'sharding_strategy' if 'sharding_strategy' in found else 'reshard_after_forward'}"
    if name in _STAGES:
        notes.carry("parallel.data.stage", _STAGES[name], key)
    elif name == "NO_SHARD":
        notes.carry("parallel.data.strategy", "ddp", key)
        notes.drop(key, written, "whole copies are what ddp is", "")
    else:
        hint = "write parallel.data.shard and parallel.data.replicate"
        notes.drop(key, written, "copies of a sharded model are not carried out yet", hint)


def _offload(written: Any, notes: Notes, where: str) -> None:
    if str(written).lower() == "true":
        notes.carry("parallel.data.offload", "parameters", f"{where}offload_params")
    else:
        notes.settle("parallel.data.offload", f"{where}offload_params")
