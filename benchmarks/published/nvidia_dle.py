"""NVIDIA DeepLearningExamples: batches per GPU of their performance tables (they ran; no memory figures)."""

from __future__ import annotations

from collections.abc import Mapping

from published import nets, rows
from published.case import Case, whole

from launcher.planning.memory.setting import Layout, Setting

__all__ = ["map_row"]


def map_row(row: Mapping[str, str]) -> Case | str:
    """One line of a table."""
    model = row["model"]
    if not row["micro_batch"]:
        return "no-batch"
    batch = whole(row["micro_batch"])
    if model.startswith("BERT"):
        return nets.bert(row, batch=batch)
    if model.startswith("ResNet-50"):
        return nets.resnet(row, batch=batch)
    if model.startswith("Transformer-XL"):
        return nets.transformer_xl(row, batch=batch)
    if model.startswith(("GNMT", "Transformer-big")):
        return "no-length"
    if model.startswith("BART") and rows.has_dims(row) and row["seq_len"]:
        return _bart(row, batch)
    return "no-dims" if model.startswith(("ELECTRA", "BART")) else "no-kind"


def _bart(row: Mapping[str, str], batch: int) -> Case:
    return Case(
        network=rows.network(
            row, kind="encoder-decoder", implementation="transformers", family="bart", dropout=0.1
        ),
        setting=Setting(
            micro_batch_size=batch,
            sequence_length=whole(row["seq_len"]),
            target_length=whole(row["seq_len"]),
            attention="eager",
            optimizer="lamb",
            optimizer_implementation="fused",
            formats=nets.formats_named(row["precision"]),
            layout=Layout(data=max(1, whole(row["n_gpus"], 1))),
        ),
        outcome=rows.outcome(row),
        **rows.cap(row),
    )
