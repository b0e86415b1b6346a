"""BigScience's chronicles: GPT with Megatron-DeepSpeed on V100 and A100, nvidia-smi rounded to GB, and what ran out.

nvidia-smi prints MiB: GB is taken as 1000 of them. BLOOM tuning (`bs-prequel`): ALiBi, 250,880 words, embedding norm,
fp16 with DeepSpeed's ZeRO-1 under its pipeline, or its bf16 optimizer with fp32 gradients. Heads that the page does
not give are taken as 128 wide.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from published import rows
from published.case import MIB, Case, number, whole

from launcher.planning.memory.network import Network
from launcher.planning.memory.setting import Formats, Layout, Setting

__all__ = ["map_row"]

_CONTEXT_V100, _CONTEXT_A100 = 1113 * MIB, 1536 * MIB
"""What CUDA's kernels take, as the chronicles say: 1113 MiB on V100, about 1.5 GB on A100 (CUDA 11, not lazy)."""
_BF16 = Formats(compute="bf16", parameter_bytes=2, gradient_bytes=4, master_bytes=4)


def map_row(row: Mapping[str, str]) -> Case | str:
    """One line of a table."""
    if not row["hidden"] or not row["n_layers"]:
        return "no-dims"
    if not row["micro_batch"]:
        return "no-batch"
    if "act-ckpt" in row["offload"]:
        return "no-method"  # checkpoints kept on the host
    layout = _layout(row)
    ranks = layout.data * layout.tensor * layout.pipeline
    early = (
        row["row_id"].startswith("bs-tr8") and row["n_layers"] == "32"
    )  # the page: a wrong feed-forward width
    if early or "!=" in row["notes"] or ranks != whole(row["n_gpus"]):
        return "contradicts"
    if "apparently" in row["notes"] or "appears to ha" in row["notes"]:
        return "contradicts"
    return _case(row, layout)


def _case(row: Mapping[str, str], layout: Layout) -> Case | str:
    deepspeed = (
        "zero" in row["sharding"] or "Megatron-DS" in row["notes"] or "Megatron + Deepspeed" in row["notes"]
    )
    micro = whole(row["micro_batch"])
    batch = whole(row["global_batch"])
    steps = max(1, whole(row["grad_accum"]) or batch // (micro * layout.data) or 1)
    formats = _BF16 if row["precision"] == "bf16" else rows.DEEPSPEED if deepspeed else rows.MEGATRON16
    setting = Setting(
        engine="deepspeed" if deepspeed else "megatron",
        micro_batch_size=micro,
        sequence_length=whole(row["seq_len"]),
        gradient_accumulation_steps=steps,
        optimizer="adamw-8bit" if "8-bit" in row["optimizer"] else "adamw",
        attention="eager",
        checkpointing="full",
        formats=formats,
        layout=layout,
        context_bytes=_CONTEXT_A100 if row["row_id"].startswith("bs-prequel") else _CONTEXT_V100,
    )
    figure = number(row["peak_mem_gb"])
    return Case(
        network=_network(row),
        setting=setting,
        quantity="device" if figure else None,
        measured=figure * 1000 * MIB if figure else None,
        outcome=rows.outcome(row),
        **rows.cap(row),
    )


def _network(row: Mapping[str, str]) -> Network:
    hidden = whole(row["hidden"])
    bloom = row["row_id"].startswith("bs-prequel")
    heads = whole(row["heads"]) or max(1, hidden // 128)
    found = rows.network(
        {**row, "heads": str(heads), "kv_heads": ""},
        implementation="megatron",
        family="gpt",
        vocab_size=250880 if bloom else whole(row["vocab"]) or 50257,
        position="none" if bloom else "learned",
        dropout=0.0 if bloom else 0.1,
    )
    return replace(found, max_positions=0) if bloom else found


def _layout(row: Mapping[str, str]) -> Layout:
    given: dict[str, Any] = {"devices_per_node": 4 if "V100" in row["gpu"] else 8}
    sharding, offload = row["sharding"], row["offload"]
    if "zero1" in sharding:
        given.update(strategy="zero", zero_stage=1)
    if "optim" in offload:
        given["offload"] = "parameters" if "param" in offload else "optimizer"
    return rows.layout(row, **given)
