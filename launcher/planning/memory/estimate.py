"""Peak memory of one rank: which phase, which pipeline stage, made of what."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from launcher.catalog.overheads import HOST_FACTOR, MODEL_ERROR
from launcher.planning.memory.band import Band
from launcher.planning.memory.kinds import KINDS
from launcher.planning.memory.network import Network
from launcher.planning.memory.overheads import constant, flattens, fragmentation, kept, outside, reserved_band
from launcher.planning.memory.part import Part
from launcher.planning.memory.phases import Phase, peaks
from launcher.planning.memory.pipeline import stages
from launcher.planning.memory.setting import Setting
from launcher.planning.memory.stage import Weighed, stage_bytes

__all__ = ["Band", "Estimate", "Phase", "StageEstimate", "estimate_memory", "estimate_parts"]


@dataclass(frozen=True, slots=True, kw_only=True)
class StageEstimate:
    """One pipeline stage."""

    stage: int
    phase: Phase
    allocated: int
    """What torch.cuda.max_memory_allocated would say, in bytes."""
    phases: Mapping[Phase, int]
    components: Mapping[str, int]
    """Parts of `allocated` at its peak; they add up to it."""
    cached: int = 0
    """What the caching allocator has come to hold beside blocks too small to use again, in bytes."""
    uneven: int = 0
    """Share of cached in logits, whose size follows the length of the sequences."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """Memory of the rank that needs most."""

    allocated: Band
    reserved: Band
    """What the caching allocator comes to hold where there is room; some of it it gives back when there is none."""
    device: Band
    """What the device must hold: allocated, fragmented, with context, communicators and workspaces."""
    stage: int
    phase: Phase
    components: Mapping[str, int]
    """Parts of `device.expected`; they add up to it."""
    stages: tuple[StageEstimate, ...]
    host_bytes: int
    """Held in host memory by one rank (offload)."""
    evidence: str
    """Where the saved bytes come from: the ledger's implementation, family and versions, or the formula."""


def estimate_memory(*, network: Network, setting: Setting) -> Estimate:
    """Peak memory of training `network` under `setting`, in bytes.

    Raises KeyError for a kind that nobody registered.
    """
    return estimate_parts(parts=KINDS[network.kind](network, setting), setting=setting)


def estimate_parts(*, parts: tuple[Part, ...], setting: Setting) -> Estimate:
    """The same for a network that is already laid out in parts."""
    staged = stages(parts, setting)
    found = []
    host = 0
    extra = constant(setting)
    weighed: Weighed = {}
    for number, stretches in enumerate(staged):
        state = stage_bytes(stretches, setting, first=number == 0, weighed=weighed)
        host = max(host, state.total.host)
        stranded = sum(stretch.part.stranded for stretch in stretches)
        found.append(_stage(number, peaks(state), extra=extra.expected, stranded=stranded, setting=setting))
    worst = max(found, key=lambda each: each.allocated)
    allocated = Band(
        low=round((worst.allocated - extra.expected) * MODEL_ERROR.low) + extra.low,
        expected=worst.allocated,
        high=round((worst.allocated - extra.expected) * MODEL_ERROR.high)
        + extra.high
        + max((part.workspace for part in parts), default=0),
    )
    spread = fragmentation(setting)
    held = Band(
        low=round(allocated.low * spread.low),
        expected=round(allocated.expected * spread.expected),
        high=round(allocated.high * spread.high),
    )
    fullest = max(found, key=lambda each: kept(each.cached, uneven=each.uneven, setting=setting))
    reserved = reserved_band(
        held, beside=fullest.cached - worst.allocated, uneven=fullest.uneven, setting=setting
    )
    context, groups = outside(setting)
    components = dict(worst.components)
    components["fragmentation"] = held.expected - allocated.expected
    components["context"] = context.expected
    components["communicators"] = groups.expected
    return Estimate(
        allocated=allocated,
        reserved=reserved,
        device=Band(
            low=held.low + context.low + groups.low,
            expected=held.expected + context.expected + groups.expected,
            high=held.high + context.high + groups.high,
        ),
        stage=worst.stage,
        phase=worst.phase,
        components=components,
        stages=tuple(found),
        host_bytes=round(HOST_FACTOR * host),
        evidence="; ".join(dict.fromkeys(part.source for part in parts if part.source)),
    )


def _stage(
    number: int,
    phases: Mapping[Phase, Mapping[str, int]],
    *,
    extra: int,
    stranded: int,
    setting: Setting,
) -> StageEstimate:
    sizes = {phase: sum(components.values()) + extra for phase, components in phases.items()}
    phase = max(sizes, key=lambda name: sizes[name])
    components = dict(phases[phase])
    components["workspaces"] = extra
    beside = phases["optimizer-step"]["optimizer_transient"] if flattens(setting) else 0
    held = {name: size + (beside if name != "optimizer-step" else 0) for name, size in sizes.items()}
    if setting.device_kind != "cpu":
        held["forward-end"] += stranded
    fullest = max(held, key=lambda name: kept(held[name], uneven=phases[name]["logits"], setting=setting))
    return StageEstimate(
        stage=number,
        phase=phase,
        allocated=sizes[phase],
        phases=sizes,
        components=components,
        cached=held[fullest],
        uneven=phases[fullest]["logits"],
    )
