"""Per-stage lines of Megatron 2.4 logs: torch's max_memory_allocated of one pipeline stage, V100-32GB, fp16.

`stage N of P` stands in the notes. Runs with `ds-on` are DeepSpeed's pipeline with ZeRO-1 on one data rank.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace

from published import rows
from published.case import Case, whole

from launcher.planning.memory.setting import Setting

__all__ = ["map_row"]

_FORMATS = replace(rows.MEGATRON16, gradient_bytes=8, main_gradient_bytes=0)
"""fp16 gradients, torch DDP's buckets of the same size (--DDP-impl torch) and fp32 ones, which stay to the next step.

Source: NVIDIA/Megatron-LM@v2.4 megatron/optimizer/optimizer.py:Float16OptimizerWithFloat16Params.zero_grad.
"""
_FIRST = replace(rows.MEGATRON16, gradient_bytes=6, main_gradient_bytes=0)
"""In the first step fp16 gradients are gone one by one before the states come."""


def map_row(row: Mapping[str, str]) -> Case | str:
    """A stage of one run."""
    if "zero3" in row["sharding"]:
        return "no-method"  # checkpoints and states held by a development branch of DeepSpeed, on the host
    found = re.search(r"stage (\d+) of (\d+)", row["notes"])
    assert found
    stage = int(found[1])
    deepspeed = "ds-on" in row["row_id"] or row["row_id"].endswith("perf_n16-stage0")
    first = "after 1 iterations" in row["notes"]
    batch, micro = whole(row.get("global_batch")) or 1024, whole(row["micro_batch"])
    return Case(
        network=rows.network(row, implementation="megatron", family="gpt", vocab_size=50688, dropout=0.1),
        setting=Setting(
            engine="deepspeed" if deepspeed else "megatron",
            micro_batch_size=micro,
            sequence_length=1024,
            gradient_accumulation_steps=max(1, batch // micro),
            attention="eager",
            checkpointing="full",
            first_step=first and not deepspeed,
            formats=rows.DEEPSPEED if deepspeed else _FIRST if first else _FORMATS,
            layout=rows.layout(row, strategy="zero", zero_stage=1) if deepspeed else rows.layout(row),
        ),
        **rows.seen(row, "allocated"),
        outcome="ran",
        known=True,
        stage=stage,
        **rows.cap(row),
    )
