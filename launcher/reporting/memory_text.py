"""The memory of a plan: what it is made of, a bar against the device, the peak, and where the figures come from."""

from __future__ import annotations

from typing import NamedTuple

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


class _Unit(NamedTuple):
    """What bytes are shown in."""

    name: str
    size: int
    digits: int

    def show(self, number: int) -> str:
        return f"{number / self.size:.{self.digits}f}"


_GIB, _MIB = _Unit("GiB", GIB, 1), _Unit("MiB", 2**20, 0)


def memory_summary(plan: RunPlan) -> str:
    """`61.2 expected, 66.9 worst, of 79.1 GiB`; empty without an estimate."""
    memory = plan.memory
    if memory is None:
        return ""
    unit = _unit(memory)
    shown = f"{unit.show(memory.peak_bytes)} expected, {unit.show(memory.high_bytes)} worst"
    if memory.usable_bytes is None:
        return f"{shown} {unit.name}"
    of = _GIB if memory.usable_bytes >= GIB else unit
    return f"{shown}{'' if of == unit else f' {unit.name}'}, of {of.show(memory.usable_bytes)} {of.name}"


def memory_lines(plan: RunPlan, glyphs: Glyphs) -> list[str]:
    """Parts, bar, peak and evidence; one line where nothing is known."""
    memory = plan.memory
    if memory is None:
        return ["not estimated: the dimensions of the model are not known"]
    parts, unit = _parts(memory), _unit(memory)
    named = glyphs.dot.join(f"{name.replace('_', ' ')} {unit.show(size)}" for name, size in parts)
    lines = [f"{named} {unit.name}", f"{_bar(memory, parts, glyphs)}", _peak(memory, unit)]
    if memory.usable_bytes is None:
        lines.append(f"how much memory {memory.device} has is not known: cluster.host_memory")
    elif memory.max_micro_batch_size is not None:
        lines.append(f"largest micro-batch that fits with its margin: {memory.max_micro_batch_size}")
    return [*lines, f"from {memory.evidence}{_error(memory)}"]


def _error(memory: MemoryPlan) -> str:
    """`; predicted 0.55, measured 0.61 GiB: -9.8 %`; empty where nothing was measured."""
    if memory.predicted_bytes is None:
        return ""
    share, unit = 100 * (memory.predicted_bytes / memory.peak_bytes - 1), _unit(memory)
    predicted, measured = unit.show(memory.predicted_bytes), unit.show(memory.peak_bytes)
    return f"; predicted {predicted}, measured {measured} {unit.name}: {share:+.1f} %"


def _parts(memory: MemoryPlan) -> list[tuple[str, int]]:
    """Those above a hundredth of the peak, in the plan's order; the rest together."""
    least = memory.peak_bytes / 100
    large = [(name, size) for name, size in memory.components.items() if size >= least]
    rest = sum(size for size in memory.components.values() if size < least)
    return [*large, ("other", rest)] if rest >= least else large


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


def _peak(memory: MemoryPlan, unit: _Unit) -> str:
    stage = f" of pipeline stage {memory.peak_stage}" if len(memory.per_stage) > 1 else ""
    show = unit.show
    phase = "" if memory.peak_phase is None else f"{_PHASES[memory.peak_phase]}{stage}, "
    return (
        f"peak: {phase}{show(memory.low_bytes)} to {show(memory.high_bytes)}; "
        f"allocated {show(memory.allocated_bytes)}, reserved {show(memory.reserved_bytes)} {unit.name}"
    )


def _unit(memory: MemoryPlan) -> _Unit:
    return _GIB if memory.peak_bytes >= GIB else _MIB
