"""torchtitan's tables: Llama with FSDP2, tensor parallelism with sequence parallelism, max_memory_reserved in GiB.

Selective checkpointing: `op` keeps every other matrix product and the attention's output; `layer` every second layer.
Tables of 2025 (MI300X, B200) were made when the loss was compiled too (compile.components), which keeps no fp32 logits;
before, layers were compiled one by one and the head was not.
"""

from __future__ import annotations

from collections.abc import Mapping

from published import rows
from published.case import GIB, Case, whole

from launcher.planning.memory.setting import Setting

__all__ = ["map_row", "titan"]


def map_row(row: Mapping[str, str]) -> Case | str:
    """One configuration."""
    if not row["micro_batch"]:
        return "no-batch"
    return titan(row)


def titan(row: Mapping[str, str]) -> Case:
    """A run of torchtitan, whoever published it."""
    recompute, layers = row["act_ckpt"], whole(row["n_layers"])
    compiled = row["compile"] == "yes"
    checkpointing = (
        "full" if recompute in ("full", "selective(layer)", "selective(every 2nd layer)") else "none"
    )
    return Case(
        network=rows.network(
            row,
            implementation="compiled" if compiled and recompute == "none" else "torchtitan",
            family="llama",
            **rows.LLAMA,
        ),
        setting=Setting(
            micro_batch_size=whole(row["micro_batch"]),
            sequence_length=whole(row["seq_len"]),
            attention="flash",
            optimizer_implementation="fused" if _fused(row) else "foreach",
            checkpointing="selective" if "op" in recompute else checkpointing,
            checkpointed_layers=layers // 2 if "layer" in recompute else None,
            compile=compiled and recompute == "none",
            logits="fused" if compiled and row["gpu"].startswith(("MI300X", "B200")) else "full",
            formats=rows.FSDP,
            layout=rows.layout(row, sequence_parallel=whole(row["tp"], 1) > 1, end_groups=_ends_apart(row)),
        ),
        **rows.seen(row, "reserved", GIB),
        outcome=rows.outcome(row),
        **rows.cap(row),
    )


def _fused(row: Mapping[str, str]) -> bool:
    """AdamW became fused by default in September 2024; the tables of April 2024 were made with foreach."""
    return "2024-04" not in row["row_id"]


def _ends_apart(row: Mapping[str, str]) -> bool:
    """Embeddings and head are FSDP groups of their own since July 2025, in the root group before.

    The B200 tables are of late 2025; those of H100 and MI300X are taken as older.
    Source: pytorch/torchtitan@83e694105 (2025-07-28) torchtitan/models/llama3/infra/parallelize.py:apply_fsdp.
    """
    return row["gpu"].startswith("B200")
