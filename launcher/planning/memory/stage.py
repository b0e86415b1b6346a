"""One pipeline stage before any moment is looked at: its states, buffers, and what its copies save."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from launcher.planning.memory.buffers import Traffic, Unit, traffic, unit
from launcher.planning.memory.gradients import Gradients, gradients_of, torch_steps
from launcher.planning.memory.part import Part
from launcher.planning.memory.pipeline import Stretch
from launcher.planning.memory.setting import Setting
from launcher.planning.memory.sharding import Held, held, shares

__all__ = ["StageBytes", "Weighed", "stage_bytes"]


@dataclass(frozen=True, slots=True)
class StageBytes:
    """What one stage holds, before any moment is looked at."""

    setting: Setting
    stretches: tuple[Stretch, ...]
    units: tuple[Unit, ...]
    each: tuple[Held, ...]
    """Of one copy of every stretch."""
    total: Held
    traffic: Traffic
    gradients: Gradients
    checkpointed: tuple[int, ...]
    """Copies of every stretch under full checkpointing."""
    tied: int
    """Bytes of the second gradient of weights that both ends of the network use."""

    def kept(self, number: int, copies: int, *, waiting: bool = False) -> int:
        """Bytes that `copies` copies of a stretch save, the first ones of it under full checkpointing."""
        part = self.stretches[number].part
        ahead = self.ahead(number, copies)
        once = part.casts if waiting else 0
        return ahead * part.boundary + (copies - ahead) * (self.saved(part) - once)

    def saved(self, part: Part) -> int:
        """Bytes that one copy saves where it is not checkpointed whole."""
        return part.saved - part.core if self.setting.checkpointing == "selective" else part.saved

    def ahead(self, number: int, copies: int) -> int:
        """How many of the first `copies` copies are checkpointed."""
        stretch = self.stretches[number]
        return self.checkpointed[number] * copies // stretch.copies if stretch.copies else 0

    def at_work(self, number: int, left: int) -> tuple[int, int]:
        """Bytes recomputed and bytes held for a moment when the last of `left` copies is in its backward pass."""
        part = self.stretches[number].part
        passing = self.stretches[number].passing
        if left <= self.ahead(number, passing):
            again = part.saved - part.boundary if part.recomputed is None else part.recomputed
            return max(0, again), max(part.backward, part.forward)
        if self.setting.checkpointing == "selective":
            return part.core, part.backward
        return 0, part.backward

    def fresh(self, number: int) -> int:
        """Bytes of gradients that one copy of a stretch leaves behind."""
        plan = self.gradients
        if not plan.fresh:
            return 0
        if plan.fresh_each:
            return plan.fresh_each * self.units[number].trained
        return self.each[number].gradients

    def count(self) -> int:
        """Parameters of the stage on this rank, before data-parallel ranks share them."""
        return sum(
            one.count * stretch.copies for one, stretch in zip(self.units, self.stretches, strict=True)
        )


Weighed = dict[tuple[int, bool], tuple[Unit, Held]]
"""What was reckoned for one copy of a part, by the part's identity: stages share parts."""


def stage_bytes(
    stretches: tuple[Stretch, ...], setting: Setting, *, first: bool, weighed: Weighed | None = None
) -> StageBytes:
    """States and buffers of one stage; `first`: it holds the first part too."""
    known = {} if weighed is None else weighed
    both = [_weighed(stretch.part, setting, alone=not first, known=known) for stretch in stretches]
    units, each = tuple(one for one, _ in both), tuple(one for _, one in both)
    total = _sum(one * stretch.copies for one, stretch in zip(each, stretches, strict=True))
    trained = sum(one.trained * stretch.copies for one, stretch in zip(units, stretches, strict=True))
    count = sum(one.count * stretch.copies for one, stretch in zip(units, stretches, strict=True))
    return StageBytes(
        setting=setting,
        stretches=stretches,
        units=units,
        each=each,
        total=total,
        traffic=traffic(stretches, units, total, setting),
        gradients=gradients_of(
            setting, total, count=count, trained=trained, bucketed=trained <= setting.buffers.reduce_bucket
        ),
        checkpointed=_checkpointed(stretches, setting),
        tied=_tied(stretches, setting) if first else 0,
    )


def _weighed(part: Part, setting: Setting, *, alone: bool, known: Weighed) -> tuple[Unit, Held]:
    """Whole weights of one copy, and what a rank keeps for them."""
    key = (id(part), alone)
    if key not in known:
        ours = shares(part, setting.layout, alone=alone)
        known[key] = (unit(ours), _sum(held(share, setting) for share in ours))
    return known[key]


def _checkpointed(stretches: tuple[Stretch, ...], setting: Setting) -> tuple[int, ...]:
    if setting.checkpointing != "full":
        return (0,) * len(stretches)
    left = setting.checkpointed_layers
    found = []
    for stretch in stretches:
        copies = stretch.copies if stretch.part.checkpointable and stretch.part.place == "body" else 0
        if left is not None and copies:
            copies = min(copies, left)
            left -= copies
        found.append(copies)
    return tuple(found)


def _tied(stretches: tuple[Stretch, ...], setting: Setting) -> int:
    """Bytes of the gradient that the last part makes of weights that the first one has."""
    if not torch_steps(setting):
        return 0
    return setting.formats.gradient_bytes * sum(
        weights.count // (setting.layout.tensor if weights.split == "tensor" else 1)
        for stretch in stretches
        for weights in stretch.part.weights
        if weights.tied and weights.trained != 0
    )


def _sum(each: Iterable[Held]) -> Held:
    return sum(each, start=Held())
