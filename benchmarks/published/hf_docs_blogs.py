"""Hugging Face's pages on FSDP, fairscale and DeepSpeed: largest batches that ran, and what ran out of memory."""

from __future__ import annotations

from collections.abc import Mapping

from published import rows
from published.case import Case, whole

from launcher.planning.memory.setting import Setting

__all__ = ["map_row"]


def map_row(row: Mapping[str, str]) -> Case | str:
    """One configuration of Trainer or Accelerate."""
    if not rows.has_dims(row):
        return "no-dims"
    if not row["seq_len"]:
        return "no-length"
    if not row["precision"]:
        return "no-precision"
    deepspeed = "zero" in row["sharding"]
    return Case(
        network=rows.network(
            row, implementation="transformers", family="gpt2", activation="gelu_new", dropout=0.1
        ),
        setting=Setting(
            engine="deepspeed" if deepspeed else "accelerate",
            micro_batch_size=whole(row["micro_batch"]),
            sequence_length=whole(row["seq_len"]),
            attention="eager",
            optimizer_implementation="for-loop",
            formats=rows.DEEPSPEED if deepspeed else rows.AMP16,
            layout=rows.layout(row, **({"offload": "optimizer"} if row["offload"] == "cpu" else {})),
        ),
        outcome=rows.outcome(row),
        **rows.cap(row),
    )
