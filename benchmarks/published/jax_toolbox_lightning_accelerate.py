"""JAX-Toolbox, Lightning's FSDP page and Accelerate's no_sync issue."""

from __future__ import annotations

from collections.abc import Mapping

from published import rows
from published.case import Case, whole

from launcher.planning.memory.setting import Layout, Setting

__all__ = ["map_row"]


def map_row(row: Mapping[str, str]) -> Case | str:
    """One line of a table."""
    name = row["row_id"]
    if name.startswith("acc_"):
        return "no-batch"
    if name.startswith("lightning"):
        return _lightning(row)
    if not rows.has_dims(row):
        return "no-kind" if name.startswith("imagen") else "no-dims"
    return Case(
        network=rows.network(row, implementation="compiled", family="llama", **rows.LLAMA),
        setting=Setting(
            micro_batch_size=whole(row["micro_batch"]),
            sequence_length=whole(row["seq_len"]),
            attention="flash",
            checkpointing="selective",
            compile=True,
            formats=rows.FSDP,
            layout=rows.layout(row, strategy="fsdp", zero_stage=3, data=whole(row["n_gpus"], 1)),
        ),
        outcome=rows.outcome(row),
        **rows.cap(row),
    )


def _lightning(row: Mapping[str, str]) -> Case | str:
    """nn.Transformer of 32 + 32 layers on WikiText2 (33,278 words), 35 tokens; the number of GPUs is not given."""
    if "DDP" not in row["notes"] and "NO_SHARD" not in row["notes"]:
        return "no-layout"
    return Case(
        network=rows.network(
            {**row, "seq_len": "35", "vocab": "33278"},
            kind="encoder-decoder",
            implementation="torch",
            activation="relu",
            tie_word_embeddings=False,
            dropout=0.2,
        ),
        setting=Setting(
            micro_batch_size=1,
            sequence_length=35,
            target_length=35,
            attention="eager",
            formats=rows.FP32,
            layout=Layout(data=2),
        ),
        **rows.seen(row, "allocated"),
        outcome="ran",
        **rows.cap(row),
    )
