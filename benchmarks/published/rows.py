"""Columns that every table shares, as the memory model's types: dimensions, layout, number formats, device."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from published.case import GIB, Quantity, number, whole

from launcher.planning.memory.network import Network
from launcher.planning.memory.setting import Formats, Layout

__all__ = [
    "AMP16",
    "AMPBF",
    "DEEPSPEED",
    "FP32",
    "FSDP",
    "LLAMA",
    "MEGATRON",
    "MEGATRON16",
    "PURE",
    "cap",
    "has_dims",
    "layout",
    "network",
    "outcome",
    "seen",
]

FP32 = Formats(compute="fp32")
AMP16 = Formats(compute="fp16", autocast=True)
AMPBF = Formats(compute="bf16", autocast=True)
PURE = Formats(compute="bf16", parameter_bytes=2, gradient_bytes=2, state_bytes=2, reduce_bytes=2)
"""Everything in bf16: torch keeps gradients and states in the parameters' format."""
FSDP = Formats(compute="bf16")
"""fp32 shards, gathered in bf16."""
DEEPSPEED = Formats(compute="fp16", parameter_bytes=2, gradient_bytes=2, master_bytes=4, reduce_bytes=2)
MEGATRON = Formats(compute="bf16", parameter_bytes=2, gradient_bytes=4, master_bytes=4)
MEGATRON16 = Formats(
    compute="fp16", parameter_bytes=2, gradient_bytes=2, main_gradient_bytes=4, master_bytes=4
)
"""Megatron before its distributed optimizer: 2 + 2 + 4 + 4 + 8 = 20 bytes per parameter."""

_DEVICES = (
    ("V100", 16, "v100-sxm-16gb"),
    ("V100", 32, "v100-sxm-32gb"),
    ("T4", 16, "t4"),
    ("A10G", 24, "a10g"),
    ("A100", 40, "a100-sxm-40gb"),
    ("A100", 80, "a100-sxm-80gb"),
    ("H100", 80, "h100-sxm-80gb"),
    ("H100", 96, "h100-sxm-96gb-hbm2e"),
    ("H100", 95, "h100-sxm-96gb-hbm2e"),
    ("H200", 141, "h200-sxm-141gb"),
    ("B200", 180, "b200"),
    ("MI300X", 192, "mi300x"),
    ("RTX4090", 24, "rtx-4090"),
    ("RTX3090", 24, "rtx-3090"),
    ("Titan RTX", 24, "titan-rtx"),
    ("A6000", 48, "rtx-a6000"),
)
_LEAVES = {
    8: 7.79,
    10: 9.78,
    11: 10.76,
    12: 11.91,
    16: 15.77,
    20: 19.67,
    24: 23.5,
    32: 31.73,
    40: 39.39,
    48: 44.4,
    80: 79.14,
}
"""What drivers leave of cards that the catalog has not, in GiB by their size as sold.

Source: totals in out-of-memory messages of such cards (pytorch/pytorch issues); where none is known, 0.97 of the size.
"""


def network(row: Mapping[str, str], *, kind: str = "decoder", **given: Any) -> Network:
    """Dimensions as the row states them; what is given wins."""
    heads = whole(row.get("heads"))
    hidden = whole(row.get("hidden"))
    dims: dict[str, Any] = {
        "kind": kind,
        "hidden_size": hidden,
        "num_layers": whole(row.get("n_layers")),
        "num_attention_heads": heads,
        "num_key_value_heads": whole(row.get("kv_heads")) or heads,
        "intermediate_size": whole(row.get("ffn_hidden")) or 4 * hidden,
        "vocab_size": whole(row.get("vocab")),
        **given,
    }
    if not dims.get("head_dim") and dims["num_attention_heads"]:
        dims["head_dim"] = dims["hidden_size"] // dims["num_attention_heads"]
    if dims.get("position", "learned") == "learned" and not dims.get("max_positions"):
        dims["max_positions"] = whole(row.get("seq_len"))
    return Network(**dims)


LLAMA: Mapping[str, Any] = {
    "gated_mlp": True,
    "activation": "silu",
    "norm": "rmsnorm",
    "position": "rotary",
    "tie_word_embeddings": False,
    "bias": False,
}


def has_dims(row: Mapping[str, str]) -> bool:
    """Whether the row states depth, width and heads."""
    return all(row.get(name) for name in ("n_layers", "hidden", "heads"))


def layout(row: Mapping[str, str], **given: Any) -> Layout:
    """Ranks along each axis, and who shares states."""
    sharding = row.get("sharding", "").lower()
    axes: dict[str, Any] = {
        "tensor": whole(row.get("tp"), 1) or 1,
        "pipeline": whole(row.get("pp"), 1) or 1,
        "context": whole(row.get("cp"), 1) or 1,
        "expert": whole(row.get("ep"), 1) or 1,
        "virtual_pipeline": whole(row.get("vp"), 1) or 1,
        "sequence_parallel": row.get("seq_parallel") == "yes",
        **given,
    }
    if "data" not in axes:
        other = axes["tensor"] * axes["pipeline"] * axes["context"]
        axes["data"] = whole(row.get("dp")) or max(1, whole(row.get("n_gpus"), 1) // other)
    if "strategy" not in axes and "fsdp" in sharding:
        axes.update(strategy="fsdp", zero_stage=3)
    elif "strategy" not in axes and "zero" in sharding:
        axes.update(strategy="zero", zero_stage=int(sharding.split("zero")[1][0]))
    return Layout(**axes)


def cap(row: Mapping[str, str]) -> dict[str, Any]:
    """The device's catalog name, or what its driver leaves."""
    size = whole(row.get("gpu_mem_gb"))
    for start, gigabytes, name in _DEVICES:
        if row.get("gpu", "").startswith(start) and size == gigabytes:
            return {"device": name}
    if not size:
        return {}
    return {"usable_bytes": int(_LEAVES.get(size, 0.97 * size) * GIB)}


def outcome(row: Mapping[str, str]) -> Any:
    """ran, oom, or None where the row does not say."""
    return {"yes": "ran", "OOM": "oom"}.get(row.get("fits", ""))


def seen(row: Mapping[str, str], quantity: Quantity | None, scale: float | None = None) -> dict[str, Any]:
    """The figure, in bytes: GiB where the table has it normalized, or as printed times `scale`."""
    found = number(row.get("peak_mem_gib"))
    if found is not None and scale is None:
        return {"quantity": quantity, "measured": found * GIB}
    printed = number(row.get("peak_mem_gb"))
    if printed is None or scale is None:
        return {}
    return {"quantity": quantity, "measured": printed * scale}
