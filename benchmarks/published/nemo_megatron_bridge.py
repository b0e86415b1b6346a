"""NVIDIA's performance summaries of NeMo and Megatron Bridge: what ran (no memory figures).

Recomputation is not in the tables, and these runs use it where they need it: what is asked is whether they fit with it.
The performance scripts reduce gradients in bf16. LoRA rows take the fused layers: Megatron's ledger has no adapters.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from published import rows
from published.case import Case, whole

from launcher.planning.memory.setting import Setting
from launcher.spec.model import Adapter

__all__ = ["map_row"]

_EXPERTS = {"Qwen3_30B_a3B": (128, 8, 768), "Qwen3_235B_a22B": (128, 8, 1536)}
"""Experts, experts per token, width of one. Source: config.json of Qwen3-30B-A3B and Qwen3-235B-A22B."""


def map_row(row: Mapping[str, str]) -> Case | str:
    """One line of a table."""
    if not rows.has_dims(row):
        return "no-dims"
    if not row["micro_batch"] or not row["tp"]:
        return "no-batch"
    if row["fits"] == "no":
        return "not-memory"
    model = row["model"].split(" ")[0]
    network = rows.network(row, implementation="megatron", **rows.LLAMA)
    if model in _EXPERTS:
        experts, chosen, width = _EXPERTS[model]
        network = replace(
            network,
            kind="moe",
            num_experts=experts,
            num_experts_per_token=chosen,
            moe_intermediate_size=width,
            head_dim=128,
        )
    if row["task"] == "LoRA":
        network = replace(
            network,
            implementation="fused",
            family="llama",
            adapter=Adapter(rank=32, targets=("q_proj", "k_proj", "v_proj", "o_proj")),
        )
    steps = whole(row["grad_accum"], 1)
    # Megatron FSDP: the pages' own column, which the copied tables lack; no other layout of these has one stage
    fsdp = model in ("LLAMA3_70B", "LLAMA3.1_405B") and whole(row["pp"], 1) == 1 and row["task"] != "LoRA"
    return Case(
        network=network,
        setting=Setting(
            engine="megatron",
            micro_batch_size=whole(row["micro_batch"]),
            sequence_length=whole(row["seq_len"]),
            gradient_accumulation_steps=steps,
            attention="flash",
            checkpointing="full",
            formats=replace(rows.MEGATRON, gradient_bytes=2),
            layout=rows.layout(
                row,
                strategy="fsdp" if fsdp else "zero",
                zero_stage=3 if fsdp else 1,
                sequence_parallel=whole(row["tp"], 1) > 1,
            ),
        ),
        outcome=rows.outcome(row),
        **rows.cap(row),
    )
