"""MosaicML's MPT sweep: what ran with FSDP on A100 and H100, device batch set by hand (no memory figures)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from published import rows
from published.case import Case, whole

from launcher.planning.memory.setting import Setting

__all__ = ["map_row"]


def map_row(row: Mapping[str, str]) -> Case | str:
    """One run; mixed_precision=PURE keeps parameters and reductions in bf16, DEFAULT reduces in fp32."""
    pure = "mixed_precision=PURE" in row["notes"]
    return Case(
        network=rows.network(
            row, implementation="fused", bias=False, activation="gelu", tie_word_embeddings=True
        ),
        setting=Setting(
            micro_batch_size=whole(row["micro_batch"]),
            sequence_length=whole(row["seq_len"]),
            gradient_accumulation_steps=whole(row["grad_accum"], 1),
            attention="flash",
            checkpointing="full" if row["act_ckpt"] == "full" else "none",
            formats=replace(rows.FSDP, reduce_bytes=2) if pure else rows.FSDP,
            layout=rows.layout(
                row, strategy="fsdp", zero_stage=2 if "2" in row["sharding"] else 3, fsdp_version=1
            ),
        ),
        outcome=rows.outcome(row),
        **rows.cap(row),
    )
