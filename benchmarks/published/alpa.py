"""Alpa's artifact: XLA's allocation for GPT under data parallelism and ZeRO on V100, GiB per GPU.

XLA plans memory when it compiles, also for programs that do not fit; its ledger is nobody's here (compiled is taken).
"""

from __future__ import annotations

from collections.abc import Mapping

from published import rows
from published.case import Case, whole

from launcher.planning.memory.setting import Buffers, Layout, Setting

__all__ = ["map_row"]

_STAGES = {"none": 0, "zero2": 2, "zero3": 3}


def map_row(row: Mapping[str, str]) -> Case | str:
    """One method on one cluster."""
    name, devices = row["row_id"], whole(row["n_gpus"], 1)
    if name.startswith(("alpa_ds", "alpa_3d")):
        return "no-length"
    if "wresnet" in name:
        return "no-kind"  # wide ResNets: the contract has no width
    if "moe" in name:
        return "no-dims"  # feed-forward width not given
    sharding = row["sharding"]
    tensor, pipeline = whole(row["tp"], 1) or 1, whole(row["pp"], 1) or 1
    if sharding not in _STAGES and devices > 1 and not (row["tp"] and row["pp"]):
        return "no-layout"
    data = whole(row["dp"]) or devices // (tensor * pipeline)
    steps = max(1, whole(row["grad_accum"], 1))
    batch = whole(row["micro_batch"]) or whole(row["global_batch"]) // data // steps
    if not row["micro_batch"] and not row["grad_accum"] and "e2e" in name:
        return "no-batch"
    stage = _STAGES.get(sharding, 2 if "intra_only" in name else 0)
    if row["fits"] not in ("yes", "OOM", "no"):
        return "no-figure"
    return Case(
        network=rows.network(row, implementation="compiled", family="gpt2"),
        setting=Setting(
            micro_batch_size=batch,
            sequence_length=whole(row["seq_len"]),
            gradient_accumulation_steps=steps,
            attention="eager",
            optimizer_implementation="fused",
            checkpointing="full" if row["act_ckpt"] == "full" else "none",
            compile=True,
            formats=rows.DEEPSPEED,  # fp16 weights beside sharded fp32 ones
            buffers=Buffers(gradient_view=True),
            layout=Layout(
                data=data,
                tensor=tensor,
                pipeline=pipeline,
                strategy="zero" if stage else "ddp",
                zero_stage=stage,
            ),
        ),
        **rows.seen(row, "allocated"),
        outcome={"yes": "ran"}.get(row["fits"], "oom"),
        **rows.cap(row),
    )
