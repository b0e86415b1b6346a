"""timm's training benchmark on an RTX 3090: largest batch of a ladder that ran, next rung inferred out of memory."""

from __future__ import annotations

import re
from collections.abc import Mapping

from published import nets, rows
from published.case import Case, whole

from launcher.planning.memory.setting import Setting

__all__ = ["TUNED", "map_row"]

TUNED = True


def map_row(row: Mapping[str, str]) -> Case | str:
    """One model and batch."""
    model, batch = row["model"], whole(row["micro_batch"])
    found = re.match(r"resnet(18|34|50|101|152)$", model)
    if found:
        return nets.resnet(row, batch=batch, depth=int(found[1]))
    patch = re.search(r"^(?:vit|deit)_\w+_patch(\d+)_(\d+)", model) if rows.has_dims(row) else None
    if not patch:
        return "no-kind"
    return Case(
        network=rows.network(
            row,
            kind="vit",
            implementation="torch",
            patch_size=int(patch[1]),
            image_size=int(patch[2]),
            num_classes=1000,
        ),
        setting=Setting(
            micro_batch_size=batch, attention="eager", optimizer="sgd", momentum=0.9, formats=rows.AMP16
        ),
        outcome=rows.outcome(row),
        **rows.cap(row),
    )
