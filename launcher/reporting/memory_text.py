"""The memory of a plan: what it is made of, a bar against the device, the peak, and where the figures come from."""

from __future__ import annotations

from launcher.reporting.glyphs import Glyphs
from launcher.spec.plan import MemoryPlan, RunPlan

__all__ = ["memory_lines", "memory_summary"]

GIB = 2**30
_BAR = 60
_PHASES = {
    "forward-end": "start of the backward pass",
    "backward": "inside the backward pass",
    "optimizer-step": "optimizer step",
}


def memory_summary(plan: RunPlan) -> str:
    """`61.2 expected, 66.9 worst, of 79.1 GiB`; empty without an estimate."""
    memory = plan.memory
    if memory is None:
        return ""
    shown = f"{_gib(memory.peak_bytes)} expected, {_gib(memory.high_bytes)} worst"
    return f"{shown} GiB" if memory.usable_bytes is None else f"{shown}, of {_gib(memory.usable_bytes)} GiB"


def memory_lines(plan: RunPlan, glyphs: Glyphs) -> list[str]:
    """Parts, bar, peak and evidence; one line where nothing is known."""
    memory = plan.memory
    if memory is None:
        return ["not estimated: the dimensions of the model are not known"]
    parts = _parts(memory)
    named = glyphs.dot.join(f"{name.replace('_', ' ')} {_gib(size)}" for name, size in parts)
    lines = [f"{named} GiB", f"{_bar(memory, parts, glyphs)}", _peak(memory)]
    if memory.usable_bytes is None:
        lines.append(f"how much memory {memory.device} has is not known: cluster.host_memory")
    elif memory.max_micro_batch_size is not None:
        lines.append(f"largest micro-batch that fits with its margin: {memory.max_micro_batch_size}")
    return [*lines, f"from {memory.evidence}{_error(memory)}"]


def _error(memory: MemoryPlan) -> str:
    """`; predicted 0.55, measured 0.61 GiB: -9.8 %`; empty where nothing was measured."""
    if memory.predicted_bytes is None:
        return ""
    share = 100 * (memory.predicted_bytes / memory.peak_bytes - 1)
    return (
        f"; predicted {_gib(memory.predicted_bytes)}, measured {_gib(memory.peak_bytes)} GiB: {share:+.1f} %"
    )


def _parts(memory: MemoryPlan) -> list[tuple[str, int]]:
    """Those above a hundredth of the peak, in the plan's order; the rest together."""
    least = memory.peak_bytes / 100
    large = [(name, size) for name, size in memory.components.items() if size >= least]
    rest = sum(size for size in memory.components.values() if size < least)
    return [*large, ("other", rest)] if rest >= 0.05 * GIB else large


def _bar(memory: MemoryPlan, parts: list[tuple[str, int]], glyphs: Glyphs) -> str:
    """The parts in the plan's order, one shade each, in what the device has; `|` where it ends below the peak."""
    whole = max(memory.usable_bytes or 0, memory.peak_bytes)
    text, end = "", 0
    for at, (_, size) in enumerate(parts):
        end += size
        text += glyphs.shades[at % len(glyphs.shades)] * (round(_BAR * end / whole) - len(text))
    text = text[:_BAR].ljust(_BAR, glyphs.empty)
    if memory.usable_bytes is not None and memory.usable_bytes < memory.peak_bytes:
        limit = round(_BAR * memory.usable_bytes / whole)
        text = f"{text[:limit]}|{text[limit:]}"
    return text


def _peak(memory: MemoryPlan) -> str:
    stage = f" of pipeline stage {memory.peak_stage}" if len(memory.per_stage) > 1 else ""
    return (
        f"peak: {_PHASES[memory.peak_phase]}{stage}, {_gib(memory.low_bytes)} to {_gib(memory.high_bytes)}; "
        f"allocated {_gib(memory.allocated_bytes)}, reserved {_gib(memory.reserved_bytes)} GiB"
    )


def _gib(size: int) -> str:
    return f"{size / GIB:.1f}" if size >= GIB else f"{size / GIB:.2f}"
