"""FlashAttention's training configurations, batch by memory class, and google-research/bert's largest batches (12 GB).

gpt2-medium, and large and xl after it, have mlp_checkpoint_lvl 1, which keeps as much as relu would; ZeRO-1 runs have
gradient_as_bucket_view. Batches of memory classes below the authors' own GPUs are a rule in the file, not a run.

A `-next` row of BERT says that anything clearly above the published maximum runs out: twice it is taken, 1 after 0.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace

from published import nets, rows
from published.case import Case, whole

from launcher.planning.memory.setting import Buffers, Setting

__all__ = ["map_row"]


def map_row(row: Mapping[str, str]) -> Case | str:
    """One configuration."""
    if row["row_id"].startswith("gbert"):
        return _bert(row)
    hugging_face, flash = "-hf" in row["model"], row["attention"] == "flash"
    bf16 = "bf16" in row["precision"]
    recomputes = flash and row["row_id"].startswith(("fa-owt-gpt2m", "fa-owt-gpt2l", "fa-owt-gpt2xl"))
    zero1 = row["sharding"] == "zero1"
    return Case(
        network=rows.network(
            row,
            implementation="transformers" if hugging_face else "fused",
            family="gpt2" if hugging_face else None,
            activation="gelu_new" if hugging_face else "relu" if recomputes else "gelu",
            dropout=0.1 if "gpt2" in row["model"].lower() else 0.0,
        ),
        setting=Setting(
            micro_batch_size=whole(row["micro_batch"]),
            sequence_length=whole(row["seq_len"]),
            gradient_accumulation_steps=2,
            attention="flash" if flash else "eager",
            optimizer_implementation="fused" if "fused" in row["optimizer"] else "foreach",
            formats=rows.AMPBF if bf16 else rows.AMP16,
            buffers=Buffers(gradient_view=zero1),
            layout=rows.layout(row, strategy="zero" if zero1 else "ddp", zero_stage=1 if zero1 else 0),
        ),
        outcome=rows.outcome(row),
        **rows.cap(row),
    )


def _bert(row: Mapping[str, str]) -> Case | str:
    batch = whole(row["micro_batch"])
    if row["row_id"].endswith("-next") and not batch:
        found = re.search(r"published as (\d+)", row["notes"])
        assert found
        batch = max(1, 2 * int(found[1]))
    case = nets.bert({**row, "optimizer": "Adam"}, batch=batch)
    # clipped gradients, both new moments, update and new weights of all variables: nothing orders them
    # (google-research/bert optimization.py:AdamWeightDecayOptimizer.apply_gradients)
    return replace(
        case,
        network=replace(case.network, implementation="tensorflow1"),
        setting=replace(case.setting, step_copies=5),
    )
