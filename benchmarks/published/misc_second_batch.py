"""Second batch of small tables: DeepSpeed's tutorials and autotuner, MT-NLG, an LSTM benchmark and others."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from published import rows
from published.case import Case, whole

from launcher.planning.memory.network import Network
from launcher.planning.memory.setting import Setting

__all__ = ["map_row"]


def map_row(row: Mapping[str, str]) -> Case | str:
    """A row of one of them."""
    for start, mapped in _SOURCES.items():
        if row["row_id"].startswith(start):
            return mapped if isinstance(mapped, str) else mapped(row)
    return "no-dims"


def _autotuning(row: Mapping[str, str]) -> Case | str:
    """Hugging Face models under DeepSpeed ZeRO on V100-32GB; the column is the largest micro-batch found."""
    if not row["fits"]:
        return "no-figure"
    if not rows.has_dims(row):
        return "no-dims"
    if not row["seq_len"]:
        return "no-length"
    fp16 = row["precision"] == "fp16"
    baseline = "vanila HF" in row["notes"]
    formats = (rows.AMP16 if baseline else rows.DEEPSPEED) if fp16 else rows.FP32
    return Case(
        network=rows.network(
            row, implementation="transformers", family="gpt2", activation="gelu_new", dropout=0.1
        ),
        setting=Setting(
            engine="torchrun" if baseline else "deepspeed",
            micro_batch_size=whole(row["micro_batch"]),
            sequence_length=whole(row["seq_len"]),
            attention="eager",
            optimizer_implementation="for-loop" if baseline else "auto",
            formats=formats,
            layout=rows.layout(row, data=16),
        ),
        outcome=rows.outcome(row),
        **rows.cap({**row, "gpu_mem_gb": row["gpu_mem_gb"] or "32"}),
    )


def _lstm(row: Mapping[str, str]) -> Case | str:
    """64 x 100 x 123 or 32 x 1000 x 123 samples through torch.nn.LSTM, 10 classes."""
    both = "BIDIR" in row["row_id"]
    return Case(
        network=Network(
            kind="lstm",
            implementation="torch",
            input_size=123,
            hidden_size=320,
            num_layers=whole(row["n_layers"]),
            bidirectional=both,
            output_size=10,
        ),
        setting=Setting(
            micro_batch_size=whole(row["micro_batch"]),
            sequence_length=whole(row["seq_len"]),
            optimizer_implementation="for-loop",
            formats=rows.FP32,
        ),
        outcome=rows.outcome(row),
        **rows.cap({**row, "gpu_mem_gb": row["gpu_mem_gb"] or "8"}),
    )


def _mtnlg(row: Mapping[str, str]) -> Case | str:
    found = re.search(r"unknown", row["notes"])
    return "no-limit" if found else "no-precision"


_SOURCES: Mapping[str, str | Callable[[Mapping[str, str]], Case | str]] = {
    "ds_zero_tut": "no-length",
    "dse_at": _autotuning,
    "dse_imagenet": "no-batch",
    "nemo_lau": "no-dims",
    "mtnlg": _mtnlg,
    "maxtext": "no-batch",
    "rnn_pytorch": _lstm,
    "unsloth": "no-length",
}
