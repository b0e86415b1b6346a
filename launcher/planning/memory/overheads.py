"""From bytes in tensors to bytes on the device: workspaces, fragmentation, context and communicators."""

from __future__ import annotations

from launcher.catalog.overheads import (
    COMMUNICATOR_BYTES,
    CONSTANT_BYTES,
    CONTEXT_BYTES,
    FRAGMENTATION,
    VARIABLE_LENGTHS,
    Spread,
)
from launcher.planning.memory.band import Band
from launcher.planning.memory.setting import Layout, Setting

__all__ = ["communicators", "constant", "flattens", "fragmentation", "kept", "outside", "reserved_band"]

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


def flattens(setting: Setting) -> bool:
    """Whether the step needs blocks as large as the gradients that it takes at once: DeepSpeed's ZeRO flattens them.

    Such blocks do not fit between those that the passes left in the allocator's cache, so it comes to hold both.
    Source: pytorch@v2.13.0 c10/cuda/CUDACachingAllocator.cpp: blocks of different segments are never merged;
    DeepSpeed@0.19.8 deepspeed/runtime/zero/stage3.py:_prepare_fp32_grad_for_sub_group.
    Checked: nvidia-smi's figures of bigscience's chronicles, within a few per cent where their sum stands.
    """
    layout = setting.layout
    return (
        setting.device_kind != "cpu"
        and setting.engine == "deepspeed"
        and layout.strategy == "zero"
        and layout.zero_stage in (1, 2, 3)
        and layout.offload == "none"
    )


def kept(cached: int, *, uneven: int, setting: Setting) -> float:
    """Bytes that the allocator is expected to hold for `cached` bytes, `uneven` of them in logits."""
    return cached * fragmentation(setting).expected + _uneven(setting).expected * uneven


def reserved_band(held: Band, *, beside: int, uneven: int, setting: Setting) -> Band:
    """Bytes that the caching allocator comes to hold: what must be there, and blocks it would give back in need.

    Source: pytorch@v2.13.0 c10/cuda/CUDACachingAllocator.cpp:release_cached_blocks, before it reports out of memory.
    """
    spread, waste = fragmentation(setting), _uneven(setting)
    return Band(
        low=max(held.low, round(held.low + beside * spread.low + waste.low * uneven)),
        expected=max(
            held.expected, round(held.expected + beside * spread.expected + waste.expected * uneven)
        ),
        high=max(held.high, round(held.high + beside * spread.high + waste.high * uneven)),
    )


def _uneven(setting: Setting) -> Spread:
    return VARIABLE_LENGTHS if setting.variable_lengths and setting.device_kind != "cpu" else _NOTHING


def outside(setting: Setting) -> tuple[Band, Band]:
    """Bytes of the context, and of all communicators, that torch does not count."""
    if setting.device_kind == "cpu":
        return _band(CONTEXT_BYTES["cpu"]), _band(_NOTHING)
    each, number = COMMUNICATOR_BYTES[setting.device_kind], communicators(setting.layout)
    known = setting.context_bytes
    context = _band(CONTEXT_BYTES[setting.device_kind])
    if known is not None:
        context = Band(low=known, expected=known, high=known)
    return context, Band(
        low=round(each.low * number), expected=round(each.expected * number), high=round(each.high * number)
    )


def communicators(layout: Layout) -> int:
    """Groups of more than one rank that a rank talks in."""
    shared = layout.shard is not None and 1 < layout.shard < layout.data * layout.context
    axes = (layout.data * layout.context, layout.tensor, layout.pipeline, layout.context, layout.expert)
    return sum(1 for ranks in axes if ranks > 1) + (1 if shared else 0)


def _band(spread: Spread) -> Band:
    return Band(low=round(spread.low), expected=round(spread.expected), high=round(spread.high))
