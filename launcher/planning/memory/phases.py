"""Bytes of one pipeline stage at every moment that can be its peak: end of forward, inside backward, optimizer."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from launcher.planning.memory.buffers import Traffic, Unit, traffic, unit
from launcher.planning.memory.part import Part
from launcher.planning.memory.pipeline import Stretch
from launcher.planning.memory.setting import Setting
from launcher.planning.memory.sharding import Held, held, shares, stage_of
from launcher.planning.memory.states import step_of

__all__ = ["Phase", "StageBytes", "peaks", "stage_bytes"]

Phase = Literal["forward-end", "backward", "optimizer-step"]


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
    checkpointed: tuple[int, ...]
    """Copies of every stretch under full checkpointing."""
    tied: int
    """Bytes of the second gradient of weights that both ends of the network use."""


@dataclass(frozen=True, slots=True)
class _Moment:
    """Bytes that differ between moments."""

    activations: int = 0
    logits: int = 0
    recomputed: int = 0
    working: int = 0
    gradients: int = 0
    gathered: int = 0
    communication: int = 0
    transient: int = 0
    states: int = 0

    def bytes(self) -> int:
        """All of them."""
        return (
            self.activations
            + self.logits
            + self.recomputed
            + self.working
            + self.gradients
            + self.gathered
            + self.communication
            + self.transient
            + self.states
        )


def stage_bytes(stretches: tuple[Stretch, ...], setting: Setting, *, first: bool) -> StageBytes:
    """States and buffers of one stage; `first`: it holds the first part too."""
    ours = tuple(shares(stretch.part, setting.layout, alone=not first) for stretch in stretches)
    units = tuple(unit(each) for each in ours)
    each = tuple(_sum(held(share, setting) for share in one) for one in ours)
    total = _sum(one * stretch.copies for one, stretch in zip(each, stretches, strict=True))
    tied = 0
    if first and setting.engine != "megatron":
        tied = setting.formats.gradient_bytes * sum(
            weights.count // (setting.layout.tensor if weights.split == "tensor" else 1)
            for stretch in stretches
            for weights in stretch.part.weights
            if weights.tied and weights.trained != 0
        )
    return StageBytes(
        setting=setting,
        stretches=stretches,
        units=units,
        each=each,
        total=total,
        traffic=traffic(stretches, units, total, setting),
        checkpointed=_checkpointed(stretches, setting),
        tied=tied,
    )


def peaks(stage: StageBytes) -> Mapping[Phase, Mapping[str, int]]:
    """Components of the largest moment of every phase, in bytes."""
    return {
        "forward-end": _components(stage, _forward_end(stage)),
        "backward": _components(stage, max(_backward(stage), key=_Moment.bytes)),
        "optimizer-step": _components(stage, _step(stage)),
    }


def _forward_end(stage: StageBytes) -> _Moment:
    """End of the forward pass and first operation of the backward pass: everything saved, and the loss at work."""
    moving = stage.traffic
    fetched = max(
        (round(moving.gathered_each * one.count) for one, s in _pairs(stage) if s.part.place == "body"),
        default=0,
    )
    return _Moment(
        activations=sum(
            _kept(stage, number, stretch.passing) + _kept(stage, number, stretch.waiting, waiting=True)
            for number, stretch in enumerate(stage.stretches)
        )
        - _saved_logits(stage),
        logits=_saved_logits(stage) + sum(stretch.part.loss for stretch in stage.stretches),
        gradients=stage.total.gradients if _persistent(stage) else 0,
        gathered=moving.gathered + fetched,
        communication=moving.always + moving.backward,
        states=_states(stage),
    )


def _backward(stage: StageBytes) -> Iterator[_Moment]:
    """Moments inside the backward pass: every part at its last and first copy, and the end."""
    moving, persistent = stage.traffic, _persistent(stage)
    waiting = sum(
        _kept(stage, number, stretch.waiting, waiting=True) for number, stretch in enumerate(stage.stretches)
    )
    before = [_kept(stage, number, stretch.passing) for number, stretch in enumerate(stage.stretches)]
    done, reducing, seen_last = 0, 0, False
    for number in range(len(stage.stretches) - 1, -1, -1):
        stretch, one, own = stage.stretches[number], stage.units[number], stage.each[number]
        body = stretch.part.place == "body"
        fetched = 2 * round(moving.gathered_each * one.count) if body else 0
        reducing = round(moving.reduce_each * one.trained) if body else reducing
        for left in _turns(stretch.passing, _ahead(stage, number, stretch.passing)):
            recomputed, working = _at_work(stage, number, left)
            fresh = done + own.gradients * (stretch.passing - left) + (stage.tied if seen_last else 0)
            yield _Moment(
                activations=waiting
                + sum(before[:number])
                + _kept(stage, number, left)
                - _logits(stretch, left),
                logits=_logits(stretch, left),
                recomputed=recomputed,
                working=working + (_newest(stage, number) if persistent else 0),
                gradients=stage.total.gradients + (stage.tied if seen_last else 0) if persistent else fresh,
                gathered=moving.gathered + fetched,
                communication=moving.always + moving.backward + reducing + moving.root_gradients,
                states=_states(stage),
            )
        done += own.gradients * stretch.passing
        seen_last = seen_last or stretch.part.place == "last"
    yield _Moment(
        activations=waiting,
        working=_newest(stage, 0) if persistent else 0,
        gradients=stage.total.gradients + stage.tied,
        gathered=moving.gathered,
        communication=moving.always + moving.backward + moving.root_gradients + moving.backward_end,
        states=_states(stage),
    )


def _step(stage: StageBytes) -> _Moment:
    """The optimizer's step: all gradients and states, no activations."""
    step, formats = step_of(stage.setting), stage.setting.formats
    each = 4 if formats.master_bytes else formats.state_bytes
    flat = stage.setting.engine == "deepspeed" and stage_of(stage.setting.layout) > 0
    largest = stage.total.trained if flat else stage.total.largest
    return _Moment(
        gradients=stage.total.gradients + stage.total.main_gradients,
        communication=stage.traffic.always,
        transient=each * (step.everything * stage.total.trained + step.largest * largest)
        + stage.traffic.step,
        states=stage.total.states,
    )


def _components(stage: StageBytes, moment: _Moment) -> Mapping[str, int]:
    return {
        "parameters": stage.total.parameters,
        "gradients": moment.gradients,
        "master_weights": stage.total.masters,
        "optimizer_states": moment.states,
        "activations": moment.activations,
        "recomputed_activations": moment.recomputed,
        "logits": moment.logits,
        "working_memory": moment.working,
        "gathered_parameters": moment.gathered,
        "communication_buffers": moment.communication,
        "optimizer_transient": moment.transient,
    }


def _persistent(stage: StageBytes) -> bool:
    """Whether gradients outlive their micro-batch: accumulated, or in a buffer of the engine's."""
    setting = stage.setting
    if setting.engine == "megatron" or setting.gradient_accumulation_steps > 1:
        return True
    return setting.engine == "deepspeed" and stage_of(setting.layout) == 3


def _states(stage: StageBytes) -> int:
    return 0 if stage.setting.first_step else stage.total.states


def _newest(stage: StageBytes, number: int) -> int:
    """Bytes of the gradient that autograd hands over before it is added to the accumulated one."""
    setting = stage.setting
    if setting.engine == "megatron":
        return 0
    return setting.formats.gradient_bytes * stage.units[number].largest


def _kept(stage: StageBytes, number: int, copies: int, *, waiting: bool = False) -> int:
    """Bytes that `copies` copies of a stretch save, the first ones of it under full checkpointing."""
    part = stage.stretches[number].part
    ahead = _ahead(stage, number, copies)
    once = part.casts if waiting else 0
    return ahead * part.boundary + (copies - ahead) * (_saved(stage, part) - once)


def _saved(stage: StageBytes, part: Part) -> int:
    return part.saved - part.core if stage.setting.checkpointing == "selective" else part.saved


def _ahead(stage: StageBytes, number: int, copies: int) -> int:
    """How many of the first `copies` copies are checkpointed."""
    stretch = stage.stretches[number]
    return stage.checkpointed[number] * copies // stretch.copies if stretch.copies else 0


def _at_work(stage: StageBytes, number: int, left: int) -> tuple[int, int]:
    """Bytes recomputed and bytes held for a moment when the last of `left` copies is in its backward pass."""
    part = stage.stretches[number].part
    passing = stage.stretches[number].passing
    if left <= _ahead(stage, number, passing):
        again = part.saved - part.boundary if part.recomputed is None else part.recomputed
        return max(0, again), max(part.backward, part.forward)
    if stage.setting.checkpointing == "selective":
        return part.core, part.backward
    return 0, part.backward


def _turns(passing: int, ahead: int) -> tuple[int, ...]:
    """Copies left at the ends of every stretch along which bytes are linear."""
    return tuple(
        sorted({left for left in (passing, ahead + 1, ahead, 1) if 1 <= left <= passing}, reverse=True)
    )


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


def _saved_logits(stage: StageBytes) -> int:
    return sum(_logits(stretch, stretch.passing) for stretch in stage.stretches)


def _logits(stretch: Stretch, copies: int) -> int:
    return stretch.part.logits * copies


def _pairs(stage: StageBytes) -> Iterator[tuple[Unit, Stretch]]:
    return zip(stage.units, stage.stretches, strict=True)


def _sum(each: Iterator[Held]) -> Held:
    return sum(each, start=Held())
