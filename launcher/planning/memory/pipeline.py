"""Which copies of which parts one pipeline stage holds, and for how many micro-batches at once."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import accumulate, pairwise

from launcher.planning.memory.part import Part
from launcher.planning.memory.setting import Setting

__all__ = ["Stretch", "piece_sizes", "stages"]


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
    min(m v, 2 (p - r - 1) + (v - 1) g + 1) pieces, where groups of g = p micro-batches take turns.
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
    ranks = setting.layout.pipeline
    flying = _flying(setting, rank=rank)
    pieces = range(rank, ranks * len(flying), ranks)
    cuts = _cuts(sum(part.repeat for part in parts if part.place == "body"), setting)
    found: list[Stretch] = []
    start = 0
    for part in parts:
        if part.place == "body":
            begin, start = start, start + part.repeat
            each = [max(0, min(start, cuts[piece + 1]) - max(begin, cuts[piece])) for piece in pieces]
            if sum(each):
                total = sum(copies * waiting for copies, waiting in zip(each, flying, strict=True))
                passing = each[-1] if flying[-1] else max(each)
                found.append(
                    Stretch(part=part, copies=sum(each), passing=passing, waiting=max(0, total - passing))
                )
        elif rank == (0 if part.place == "first" else ranks - 1):
            others = max(0, (flying[0] if part.place == "first" else flying[-1]) - 1) * part.repeat
            found.append(Stretch(part=part, copies=part.repeat, passing=part.repeat, waiting=others))
    return tuple(found)


def _cuts(layers: int, setting: Setting) -> tuple[int, ...]:
    """How many layers lie before every piece, in order of depth, and how many there are."""
    layout = setting.layout
    if layout.piece_layers:
        return tuple(accumulate(layout.piece_layers, initial=0))
    pieces = layout.pipeline * max(1, layout.virtual_pipeline)
    return tuple(accumulate(piece_sizes(layers=layers, pieces=pieces), initial=0))


def piece_sizes(*, layers: int, pieces: int) -> tuple[int, ...]:
    """Layers of every piece, in order of depth: even, else one fewer on both ends where that is even, else nearly so.

    On the ends, embeddings and loss stand for a layer each.
    Source: 126 layers on 16 stages, Llama 3, arXiv:2407.21783, section 3.3.2; 70 on 12, BLOOM,
    bigscience-workshop/bigscience@9e64ede train/tr11-176B-ml/README.md (type:transformer|embedding);
    NVIDIA/Megatron-LM@core_r0.12 account_for_embedding_in_pipeline_split, account_for_loss_in_pipeline_split.
    """
    if pieces > 1 and layers % pieces and (layers + 2) % pieces == 0:
        each = (layers + 2) // pieces
        return (each - 1, *(each,) * (pieces - 2), each - 1)
    cuts = [number * layers // pieces for number in range(pieces + 1)]
    return tuple(after - before for before, after in pairwise(cuts))


def _flying(setting: Setting, *, rank: int) -> tuple[int, ...]:
    """Micro-batches in flight in every piece of a stage when its first backward pass begins."""
    layout, micro_batches = setting.layout, max(1, setting.gradient_accumulation_steps)
    ranks, pieces = layout.pipeline, max(1, layout.virtual_pipeline)
    if pieces == 1:
        return (min(micro_batches, ranks - rank),)
    group = layout.micro_batch_group or ranks
    started = min(micro_batches * pieces, 2 * (ranks - rank - 1) + (pieces - 1) * group + 1)
    found = [0] * pieces
    for number in range(started):
        found[number % (group * pieces) // group] += 1
    return tuple(found)
