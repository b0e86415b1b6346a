"""Lambda's GPU benchmark: nvidia-smi's peak of the whole GPU, batch set by hand to nearly fill it."""

from __future__ import annotations

from collections.abc import Mapping

from published import nets, rows
from published.case import Case, whole

__all__ = ["TUNED", "map_row"]

TUNED = True


def map_row(row: Mapping[str, str]) -> Case | str:
    """One GPU, model and precision."""
    model = row["model"]
    if not row["micro_batch"]:
        return "no-batch"
    batch, figure = whole(row["micro_batch"]), rows.seen(row, "device")
    if not row["gpu_mem_gb"]:
        return "no-limit"
    if model.startswith("BERT"):
        return nets.bert(row, batch=batch, **figure)
    if model.startswith("ResNet-50"):
        return nets.resnet(row, batch=batch, **figure)
    if model.startswith("Transformer-XL"):
        return nets.transformer_xl(row, batch=batch, **figure)
    return "no-length" if model.startswith("GNMT") else "no-kind"
