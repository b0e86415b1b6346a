"""Which copies of which parts one pipeline stage holds, and for how many micro-batches at once."""

from __future__ import annotations

from dataclasses import dataclass

from launcher.planning.memory.part import Part
from launcher.planning.memory.setting import Setting

__all__ = ["Stretch", "stages"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Stretch:
    """Copies of one part on one stage."""

    part: Part
    copies: int
    """Of all pieces of the stage together."""
    passing: int
    """Copies that one micro-batch passes in a row: those of one piece."""
    waiting: int
    """Copies whose saved bytes belong to other micro-batches (or pieces) in flight, at the peak."""


def stages(parts: tuple[Part, ...], setting: Setting) -> tuple[tuple[Stretch, ...], ...]:
    """Every pipeline stage's copies.

    One forward, one backward: stage r of p keeps min(m, p - r) micro-batches in flight. Interleaved with v pieces,
    min(m v, 2 (p - r - 1) + (v - 1) p + 1) pieces.
    Source: Narayanan et al. 2021, arXiv:2104.04473, section 2.2; NVIDIA/Megatron-LM@core_r0.12
    megatron/core/pipeline_parallel/schedules.py:get_pp_rank_microbatches.
    """
    layout = setting.layout
    ranks = max(1, layout.pipeline)
    if ranks == 1:
        return (
            tuple(Stretch(part=part, copies=part.repeat, passing=part.repeat, waiting=0) for part in parts),
        )
    return tuple(_stage(parts, setting, rank=rank) for rank in range(ranks))


def _stage(parts: tuple[Part, ...], setting: Setting, *, rank: int) -> tuple[Stretch, ...]:
    ranks, pieces = setting.layout.pipeline, max(1, setting.layout.virtual_pipeline)
    micro_batches = max(1, setting.gradient_accumulation_steps)
    if pieces == 1:
        flying = min(micro_batches, ranks - rank)
        ends = flying
    else:
        flying = min(micro_batches * pieces, 2 * (ranks - rank - 1) + (pieces - 1) * ranks + 1)
        ends = min(micro_batches, 2 * (ranks - rank - 1) + 1)
    total = sum(part.repeat for part in parts if part.place == "body")
    cuts = [number * total // (ranks * pieces) for number in range(ranks * pieces + 1)]
    found: list[Stretch] = []
    start = 0
    for part in parts:
        if part.place == "body":
            begin, start = start, start + part.repeat
            each = [
                max(0, min(start, cuts[piece + 1]) - max(begin, cuts[piece]))
                for piece in range(rank, ranks * pieces, ranks)
            ]
            if sum(each):
                # pieces are as good as equal: the one in its backward pass is the largest
                passing = max(each)
                waiting = max(0, -(-sum(each) * flying // pieces) - passing)
                found.append(Stretch(part=part, copies=sum(each), passing=passing, waiting=waiting))
        elif rank == (0 if part.place == "first" else ranks - 1):
            others = (ends - 1 if part.place == "first" else 0) * part.repeat
            found.append(Stretch(part=part, copies=part.repeat, passing=part.repeat, waiting=others))
    return tuple(found)
