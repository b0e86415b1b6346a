"""Bytes of one pipeline stage at every moment that can be its peak: end of forward, inside backward, optimizer."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Literal, NamedTuple

from launcher.planning.memory.buffers import Unit
from launcher.planning.memory.formats import compute_bytes
from launcher.planning.memory.gradients import torch_steps
from launcher.planning.memory.pipeline import Stretch
from launcher.planning.memory.sharding import stage_of
from launcher.planning.memory.stage import StageBytes
from launcher.planning.memory.states import step_of

__all__ = ["Phase", "peaks"]

Phase = Literal["forward-end", "backward", "optimizer-step"]


class _Moment(NamedTuple):
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


def peaks(stage: StageBytes) -> Mapping[Phase, Mapping[str, int]]:
    """Components of the largest moment of every phase, in bytes."""
    return {
        "forward-end": _components(stage, max(_forward(stage), key=sum)),
        "backward": _components(stage, max(_backward(stage), key=sum)),
        "optimizer-step": _components(stage, max(_step(stage), key=sum)),
    }


def _forward(stage: StageBytes) -> Iterator[_Moment]:
    """End of the forward pass, and what the last copy of every part holds for a moment on the way there."""
    end = _forward_end(stage)
    yield end
    later, gone = 0, 0
    for number in range(len(stage.stretches) - 1, -1, -1):
        stretch = stage.stretches[number]
        if stretch.part.forward_beyond:
            logits = _saved_logits(stage) - gone
            activations = end.activations - later
            yield end._replace(activations=activations, logits=logits, working=stretch.part.forward_beyond)
        gone += _logits(stretch, stretch.passing)
        later += stage.kept(number, stretch.passing) - _logits(stretch, stretch.passing)


def _forward_end(stage: StageBytes) -> _Moment:
    """End of the forward pass and first operation of the backward pass: everything saved, and the loss at work."""
    moving = stage.traffic
    pairs = zip(stage.units, stage.stretches, strict=True)
    # FSDP has fetched the last layer by then, and holds the head where that is a group of its own
    apart = "last" if stage.setting.layout.end_groups else "body"
    copy = max(
        (one for one, stretch in pairs if stretch.part.place in ("body", apart)),
        key=lambda one: one.gathered(compute_bytes(stage.setting.formats)),
        default=Unit(),
    )
    return _Moment(
        activations=sum(
            stage.kept(number, stretch.passing) + stage.kept(number, stretch.waiting, waiting=True)
            for number, stretch in enumerate(stage.stretches)
        )
        - _saved_logits(stage),
        logits=_saved_logits(stage) + sum(stretch.part.loss for stretch in stage.stretches),
        gradients=stage.gradients.base,
        gathered=moving.whole(
            each=compute_bytes(stage.setting.formats), left=stage.count(), passed=0, copy=copy, groups=1
        ),
        communication=moving.always + moving.backward,
        states=_states(stage),
    )


def _backward(stage: StageBytes) -> Iterator[_Moment]:
    """Moments inside the backward pass: every part at its last and first copy, and the end."""
    moving, plan = stage.traffic, stage.gradients
    each = compute_bytes(stage.setting.formats)
    waiting = sum(
        stage.kept(number, stretch.waiting, waiting=True) for number, stretch in enumerate(stage.stretches)
    )
    before = [stage.kept(number, stretch.passing) for number, stretch in enumerate(stage.stretches)]
    done, passed, tied, before_it = 0, 0, 0, 0
    apart = stage.setting.layout.end_groups
    count = stage.count()
    for number in range(len(stage.stretches) - 1, -1, -1):
        stretch, one = stage.stretches[number], stage.units[number]
        groups = 2 if stretch.part.place == "body" else int(apart)
        moved = one.trained if groups else 0
        fresh = stage.fresh(number)
        for left in _turns(stretch.passing, stage.ahead(number, stretch.passing)):
            recomputed, working = stage.at_work(number, left)
            behind = stretch.passing - left
            yield _Moment(
                activations=waiting
                + sum(before[:number])
                + stage.kept(number, left)
                - _logits(stretch, left),
                logits=_logits(stretch, left),
                recomputed=recomputed,
                working=working,
                gradients=plan.base
                + plan.inside
                + done
                + fresh * behind
                + tied
                + (stretch.part.backward_gradients if fresh else plan.newest_each * one.largest),
                gathered=moving.whole(
                    each=each,
                    left=count - passed - one.count * behind,
                    passed=passed + one.count * behind,
                    copy=one,
                    groups=groups,
                ),
                communication=moving.always
                + moving.backward
                + moving.inside
                + moving.whole_each * moved
                + moving.reduce_each * max(moved, before_it if left == stretch.passing else 0)
                + moving.root_gradients,
                states=_states(stage),
            )
        done += fresh * stretch.passing
        passed += one.count * stretch.passing
        before_it = moved
        tied = stage.tied if stretch.part.place == "last" else tied
    yield _backward_end(stage, waiting=waiting)


def _backward_end(stage: StageBytes, *, waiting: int) -> _Moment:
    """All gradients are there, and nothing that the micro-batch saved.

    Where both ends use one table, its two gradients wait for each other and are added into a third tensor.
    Source: pytorch@v2.13.0 torch/csrc/autograd/input_buffer.cpp:accumulate.
    """
    moving, plan, each = stage.traffic, stage.gradients, compute_bytes(stage.setting.formats)
    count = stage.count()
    first = stage.units[0].largest if stage.units else 0
    return _Moment(
        activations=waiting,
        gradients=plan.end + (plan.newest_each * first if plan.newest_end else 0) + 2 * stage.tied,
        # FSDP gives the root group back before it reduces its gradients
        gathered=moving.whole(each=each, left=first, passed=count, copy=Unit(count=first), groups=0)
        if moving.turn
        else 0,
        communication=moving.always
        + moving.backward
        + moving.inside
        + moving.root_gradients
        + moving.backward_end,
        states=_states(stage),
    )


def _step(stage: StageBytes) -> Iterator[_Moment]:
    """The optimizer's step: gradients made ready, then the optimizer at work; no activations."""
    moving, plan = stage.traffic, stage.gradients
    step, formats = step_of(stage.setting), stage.setting.formats
    each = 4 if formats.master_bytes else formats.state_bytes
    flat = not torch_steps(stage.setting) and stage_of(stage.setting.layout) > 0
    largest = stage.total.trained if flat else stage.total.largest
    yield _Moment(
        gradients=plan.step,
        communication=moving.always,
        transient=moving.step,
        states=_states(stage),
    )
    yield _Moment(
        gradients=plan.step if moving.step_gradients is None else moving.step_gradients,
        communication=moving.always,
        transient=each * (step.everything * stage.total.trained + step.largest * largest),
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


def _states(stage: StageBytes) -> int:
    return 0 if stage.setting.first_step else stage.total.states


def _turns(passing: int, ahead: int) -> tuple[int, ...]:
    """Copies left at the ends of every stretch along which bytes are linear."""
    return tuple(
        sorted({left for left in (passing, ahead + 1, ahead, 1) if 1 <= left <= passing}, reverse=True)
    )


def _saved_logits(stage: StageBytes) -> int:
    return sum(_logits(stretch, stretch.passing) for stretch in stage.stretches)


def _logits(stretch: Stretch, copies: int) -> int:
    return stretch.part.logits * copies
