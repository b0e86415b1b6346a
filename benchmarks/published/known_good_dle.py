"""NVIDIA DeepLearningExamples' configuration files: batch per GPU that NVIDIA ships for a GPU (they run)."""

from __future__ import annotations

import re
from collections.abc import Mapping

from published import nets
from published.case import Case, whole

__all__ = ["map_row"]

_DEPTHS = {"resnet50": 50}


def map_row(row: Mapping[str, str]) -> Case | str:
    """One configuration."""
    model, batch = row["model"], whole(row["micro_batch"])
    if not row["gpu_mem_gb"]:
        return "no-limit"
    if model.startswith("BERT"):
        return nets.bert(row, batch=batch)
    if model.startswith("Transformer-XL"):
        return nets.transformer_xl(row, batch=batch)
    if model in _DEPTHS:
        image = re.search(r"image (\d+)", row["notes"])
        return nets.resnet(row, batch=batch, depth=_DEPTHS[model], image=int(image[1]) if image else 224)
    return "no-kind"
