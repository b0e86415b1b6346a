"""Who is late, and for how long nobody has moved: decisions on the ranks' beats. Pure.

A beat is what batchwright_witness/beats.py writes.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

__all__ = [
    "EDGE_SECONDS",
    "Beat",
    "Whereabouts",
    "allowed_seconds",
    "late_ranks",
    "read_beats",
    "stall_words",
]

EDGE_SECONDS = 1800.0
"""Patience before the first step and after the last one, where timeouts.stall is shorter.

Loading, compiling and the last save take their time. Ranks that wait for each other give up by themselves after as
long.
Source: torch@2.13.0 torch/csrc/distributed/c10d/Types.hpp:kBackendDefaultTimeout (30 min).
"""
_NAMED = 4  # ranks in a line; more are counted

_ORDER = {"start": 0, "data": 1, "evaluation": 1, "forward": 2, "backward": 3, "optimizer": 4, "end": 5}


@dataclass(frozen=True, slots=True, kw_only=True)
class Beat:
    """What one rank says of itself."""

    rank: int
    host: str
    pid: int
    phase: str
    steps: int
    """Optimizer steps done since the training began."""
    tried: int
    """Of this process, left out ones too."""
    micro: int
    batches: int
    aside: int
    busy: float | None
    """Seconds of the last step that this rank worked before it may have waited for the others."""
    seconds: float | None
    """Of the last step; None when an evaluation or a save came in between."""
    seen: bool
    """Whether optimizer steps of this process can be seen."""

    @property
    def progress(self) -> tuple[int, ...]:
        """Changes whenever the rank gets on."""
        return (self.pid, self.steps, self.tried, self.micro, self.batches, self.aside)

    @property
    def is_blind(self) -> bool:
        """Watched once, and not any more: whether it steps is not known."""
        return not self.seen and bool(self.tried or self.aside)


@dataclass(frozen=True, slots=True, kw_only=True)
class Whereabouts:
    """What a rank answered when it was asked where it is."""

    rank: int
    state: str = ""
    """Of its process, where it does not answer: `stopped (T)`."""
    lines: tuple[str, ...] = ()
    """`train.py:31 in load`, innermost first: the user's own code in the main thread."""


def read_beats(found: Iterable[Mapping[str, Any]]) -> tuple[Beat, ...]:
    """By rank; a damaged one is passed over."""
    beats = {}
    for data in found:
        try:
            beat = Beat(
                **{
                    name: int(data[name])
                    for name in ("rank", "pid", "steps", "tried", "micro", "batches", "aside")
                },
                host=str(data["host"]),
                phase=str(data["phase"]),
                busy=_number(data["busy"]),
                seconds=_number(data["seconds"]),
                seen=bool(data["seen"]),
            )
        except (KeyError, TypeError, ValueError):
            continue
        beats[beat.rank] = beat
    return tuple(beats[rank] for rank in sorted(beats))


def allowed_seconds(beats: Sequence[Beat], *, stall_seconds: float, total_steps: int | None) -> float | None:
    """How long nobody may move; None where steps are not seen at all, and nobody can say.

    Longer before the first step of any rank, and once the last one is done.
    """
    if not any(beat.seen for beat in beats) or any(beat.is_blind for beat in beats):
        return None
    begun = any(beat.tried for beat in beats)
    steps = max(beat.steps for beat in beats)
    over = any(beat.phase == "end" for beat in beats) or (total_steps is not None and steps >= total_steps)
    return stall_seconds if begun and not over else max(stall_seconds, EDGE_SECONDS)


def late_ranks(beats: Sequence[Beat], *, world_size: int, stopped: Collection[int] = ()) -> tuple[int, ...]:
    """The ranks that the others wait for; empty when all of them are at the same place.

    Those that never began; else those whose process is stopped; else those with the fewest steps, then the fewest
    micro-batches, then the earliest phase: a rank that is not in its backward yet keeps the others waiting in theirs.
    """
    absent = tuple(sorted(set(range(world_size)) - {beat.rank for beat in beats}))
    if absent:
        return absent if beats else ()
    if stopped:
        return tuple(sorted(stopped))
    places = {beat.rank: (beat.steps, beat.micro, _ORDER.get(beat.phase, 0)) for beat in beats}
    last = min(places.values())
    late = tuple(rank for rank, place in places.items() if place == last)
    return late if len(late) < len(places) or world_size == 1 else ()


def stall_words(
    *,
    seconds: float,
    beats: Sequence[Beat],
    late: Sequence[int],
    whereabouts: Sequence[Whereabouts],
    folder: str,
) -> str:
    """`no step for 600 s: rank 1 on node-b is late (step 57, data, train.py:31 in load); stacks in RUN/stacks/`."""
    answers = {each.rank: each for each in whereabouts}
    known = {beat.rank: beat for beat in beats}
    named = [_rank_words(rank, known.get(rank), answers.get(rank)) for rank in late[:_NAMED]]
    if len(late) > _NAMED:
        named.append(f"{len(late) - _NAMED} more")
    first = "no step" if any(beat.tried for beat in beats) else "no first step"
    who = ", ".join(named) if named else f"no rank is behind the others ({_place(beats[0])})" if beats else ""
    return f"{first} for {seconds:.0f} s: {who}; stacks in {folder}/stacks/"


def _rank_words(rank: int, beat: Beat | None, answer: Whereabouts | None) -> str:
    if beat is None:
        return f"rank {rank} has not begun"
    details = [_place(beat), *filter(None, (answer.state, *answer.lines[:1]) if answer else ())]
    return f"rank {rank} on {beat.host} is late ({', '.join(details)})"


def _place(beat: Beat) -> str:
    return f"step {beat.steps + 1}, {beat.phase}" if beat.phase != "start" else "before the first step"


def _number(value: Any) -> float | None:
    return None if value is None else float(value)
