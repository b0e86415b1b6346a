"""InternLM's throughput tables: InternLM-7B that ran on A100-80GB with its own ZeRO-1 (no memory figures)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace

from published import rows
from published.case import Case, whole

from launcher.planning.memory.setting import Setting

__all__ = ["map_row"]


def map_row(row: Mapping[str, str]) -> Case | str:
    """One run."""
    name = row["row_id"]
    if not rows.has_dims(row):
        return "no-dims"
    if name.startswith("xtuner"):
        return _xtuner(row)
    shard = re.search(r"-z(\d+)-", name)
    tensor = whole(row["tp"], 1)
    return Case(
        network=rows.network(row, implementation="fused", family="llama", **{**rows.LLAMA, "bias": True}),
        setting=Setting(
            engine="deepspeed",
            micro_batch_size=whole(row["micro_batch"]),
            sequence_length=whole(row["seq_len"]),
            gradient_accumulation_steps=whole(row["grad_accum"], 1) or 1,
            attention="flash",
            checkpointing="full" if row["act_ckpt"] == "full" else "none",
            formats=replace(rows.DEEPSPEED, compute="bf16"),
            layout=rows.layout(
                row,
                strategy="zero",
                zero_stage=1,
                shard=int(shard[1]) if shard else None,
                sequence_parallel=tensor > 1,
            ),
        ),
        outcome=rows.outcome(row),
        **rows.cap(row),
    )


def _xtuner(row: Mapping[str, str]) -> Case | str:
    context = re.search(r"sequence parallel size (\d+)", row["notes"])
    ranks = int(context[1]) if context else 1
    return Case(
        network=rows.network(row, implementation="transformers", family="llama", **rows.LLAMA),
        setting=Setting(
            engine="deepspeed",
            micro_batch_size=whole(row["micro_batch"]),
            sequence_length=whole(row["seq_len"]),
            gradient_accumulation_steps=whole(row["grad_accum"], 1) or 1,
            attention="flash",
            checkpointing="full",
            formats=replace(rows.DEEPSPEED, compute="bf16"),
            layout=rows.layout(
                row, strategy="zero", zero_stage=3, context=ranks, data=max(1, whole(row["n_gpus"]) // ranks)
            ),
        ),
        outcome=rows.outcome(row),
        **rows.cap(row),
    )
