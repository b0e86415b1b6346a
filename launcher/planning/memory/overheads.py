"""From bytes in tensors to bytes on the device: workspaces, fragmentation, context and communicators."""

from __future__ import annotations

from launcher.catalog.overheads import (
    COMMUNICATOR_BYTES,
    CONSTANT_BYTES,
    CONTEXT_BYTES,
    FRAGMENTATION,
    Spread,
)
from launcher.planning.memory.band import Band
from launcher.planning.memory.setting import Layout, Setting

__all__ = ["communicators", "constant", "fragmentation", "outside"]

_NOTHING = Spread(0, 0, 0, "", "")


def constant(setting: Setting) -> Band:
    """Bytes that torch counts and no tensor of the model explains; none on CPU."""
    if setting.device_kind != "cpu" and setting.workspace_bytes is not None:
        known = setting.workspace_bytes
        return Band(
            low=known, expected=known, high=round(known + CONSTANT_BYTES.high - CONSTANT_BYTES.expected)
        )
    return _band(_NOTHING if setting.device_kind == "cpu" else CONSTANT_BYTES)


def fragmentation(setting: Setting) -> Spread:
    """Reserved over allocated bytes at the peak."""
    if setting.device_kind == "cpu":
        return Spread(1.0, 1.0, 1.0, "", "")
    layout = setting.layout
    if setting.engine == "megatron":
        return FRAGMENTATION["megatron"]
    if layout.strategy == "fsdp":
        return FRAGMENTATION["fsdp"]
    if layout.strategy == "zero":
        return FRAGMENTATION["zero3" if layout.zero_stage == 3 else "zero"]
    return FRAGMENTATION["ddp" if layout.data > 1 else "single"]


def outside(setting: Setting) -> tuple[Band, Band]:
    """Bytes of the context, and of all communicators, that torch does not count."""
    if setting.device_kind == "cpu":
        return Band(low=0, expected=0, high=0), Band(low=0, expected=0, high=0)
    each, number = COMMUNICATOR_BYTES[setting.device_kind], communicators(setting.layout)
    return _band(CONTEXT_BYTES[setting.device_kind]), Band(
        low=round(each.low * number), expected=round(each.expected * number), high=round(each.high * number)
    )


def communicators(layout: Layout) -> int:
    """Groups of more than one rank that a rank talks in."""
    shared = layout.shard is not None and 1 < layout.shard < layout.data * layout.context
    axes = (layout.data * layout.context, layout.tensor, layout.pipeline, layout.context, layout.expert)
    return sum(1 for ranks in axes if ranks > 1) + (1 if shared else 0)


def _band(spread: Spread) -> Band:
    return Band(low=round(spread.low), expected=round(spread.expected), high=round(spread.high))
