"""OneFlow's DLPerf and LiBai tables: several frameworks on V100-16GB, what ran and what ran out of memory."""

from __future__ import annotations

from collections.abc import Mapping

from published import nets, rows
from published.case import Case, whole

from launcher.planning.memory.setting import Setting

__all__ = ["map_row"]


def map_row(row: Mapping[str, str]) -> Case | str:
    """One line of a table."""
    model = row["model"]
    if model.startswith("Wide&Deep"):
        return "no-kind"  # embedding tables spread over parameter servers
    if not row["precision"]:
        return "no-precision"
    if not row["gpu_mem_gb"]:
        return "no-limit"
    if model.startswith("GPT"):
        return _gpt(row)
    if not row["micro_batch"]:
        return "no-batch"
    if model.startswith("BERT"):
        return nets.bert(row, batch=whole(row["micro_batch"]))
    if model.startswith("ResNet-50"):
        return nets.resnet(row, batch=whole(row["micro_batch"]))
    return "no-kind"


def _gpt(row: Mapping[str, str]) -> Case | str:
    """Megatron-LM and OneFlow's GPT on the same layouts; the batch is the global one, without accumulation."""
    layout = rows.layout(row)
    batch = whole(row["micro_batch"]) or whole(row["global_batch"]) // layout.data
    steps = max(1, whole(row["grad_accum"], 1))
    if not batch or (layout.pipeline > 1 and not row["micro_batch"] and not row["grad_accum"]):
        return "no-batch"  # a pipeline's micro-batches do not follow from the global batch
    return Case(
        network=rows.network(row, implementation="megatron", family="gpt", dropout=0.1),
        setting=Setting(
            engine="megatron",
            micro_batch_size=batch,
            sequence_length=whole(row["seq_len"]),
            gradient_accumulation_steps=steps,
            attention="eager",
            checkpointing="full" if row["act_ckpt"] == "full" else "none",
            formats=rows.MEGATRON16,
            layout=layout,
        ),
        outcome=rows.outcome(row),
        **rows.cap(row),
    )
