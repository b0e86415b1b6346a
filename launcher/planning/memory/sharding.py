"""Parameters, gradients, master weights and optimizer states of one rank, however ranks share them."""

from __future__ import annotations

from dataclasses import dataclass

from launcher.planning.memory.part import Part, Weights
from launcher.planning.memory.setting import Layout, Setting
from launcher.planning.memory.states import state_bytes

__all__ = ["Held", "Share", "data_ranks", "held", "shares", "stage_of"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """Weights of one copy of a part on one rank, before data-parallel ranks share them."""

    count: int
    trained: int
    largest: int
    ranks: int
    """Ranks that share their states."""
    matrix: bool
    stored_bytes: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """Bytes that one rank keeps for the parameters of one copy, from step to step."""

    parameters: int = 0
    gradients: int = 0
    main_gradients: int = 0
    """fp32 copies of 16-bit gradients, made for the optimizer's step and dropped before the next forward pass."""
    masters: int = 0
    states: int = 0
    trained: int = 0
    """Parameters that this rank steps, in numbers."""
    largest: int = 0
    """Of the largest tensor among them, in numbers."""
    host: int = 0

    def __add__(self, other: Held) -> Held:
        """Both together."""
        return Held(
            parameters=self.parameters + other.parameters,
            gradients=self.gradients + other.gradients,
            main_gradients=self.main_gradients + other.main_gradients,
            masters=self.masters + other.masters,
            states=self.states + other.states,
            trained=self.trained + other.trained,
            largest=max(self.largest, other.largest),
            host=self.host + other.host,
        )

    def __mul__(self, copies: int) -> Held:
        """As many copies."""
        return Held(
            parameters=self.parameters * copies,
            gradients=self.gradients * copies,
            main_gradients=self.main_gradients * copies,
            masters=self.masters * copies,
            states=self.states * copies,
            trained=self.trained * copies,
            largest=self.largest if copies else 0,
            host=self.host * copies,
        )


def stage_of(layout: Layout) -> int:
    """ZeRO stage of the states: 0 where every rank has them all, 3 for FSDP (its weights rest in shards)."""
    if layout.strategy == "ddp":
        return 0
    return 3 if layout.strategy == "fsdp" else layout.zero_stage


def data_ranks(layout: Layout) -> int:
    """Ranks with the same weights: data-parallel and context-parallel ones."""
    return layout.data * layout.context


def shares(part: Part, layout: Layout, *, alone: bool) -> tuple[Share, ...]:
    """Weights of one copy on one rank; `alone`: this stage lacks the first part, so tied weights are held again."""
    return tuple(
        _share(weights, part, layout)
        for weights in part.weights
        if weights.count and (alone or not weights.tied)
    )


def held(share: Share, setting: Setting) -> Held:
    """Bytes of parameters, gradients, master weights and optimizer states of one rank.

    Source: Rajbhandari et al. 2020, arXiv:1910.02054, figure 1: stage 1 shares optimizer states and master weights,
    2 the gradients too, 3 the parameters too.
    Checked: DeepSpeed 0.19.8 and torch 2.13 FSDP2 on two real ranks (tests/stacks/test_rank_bytes.py).
    """
    formats, layout = setting.formats, setting.layout
    stage, ranks = stage_of(layout), share.ranks
    each = formats.parameter_bytes if share.stored_bytes is None else share.stored_bytes
    stepped = _divided(share.trained, ranks if stage >= 1 else 1)
    reduced = _divided(share.trained, ranks if stage >= 2 else 1)
    parameters = round(each * _divided(share.count, ranks if stage >= 3 else 1))
    largest = _divided(share.largest, ranks if stage >= 1 else 1) if share.trained else 0
    gradients = formats.gradient_bytes * reduced
    main_gradients = formats.main_gradient_bytes * stepped
    masters = formats.master_bytes * stepped
    states = state_bytes(setting=setting, numbers=stepped, largest=largest, matrix=share.matrix)
    host = 0
    if layout.offload != "none":
        # fp32 gradients join masters and states on the host
        host, masters, states = masters + states + 4 * stepped, 0, 0
        if stage >= 2:
            gradients = 0
    if layout.offload == "parameters":
        host, parameters = host + parameters, 0
    return Held(
        parameters=parameters,
        gradients=gradients,
        main_gradients=main_gradients if layout.offload == "none" else 0,
        masters=masters,
        states=states,
        trained=stepped if layout.offload == "none" else 0,
        largest=largest if layout.offload == "none" else 0,
        host=host,
    )


def _share(weights: Weights, part: Part, layout: Layout) -> Share:
    expert_tensor = layout.tensor if layout.expert_tensor is None else layout.expert_tensor
    everyone = layout.tensor * data_ranks(layout)
    if weights.split == "expert":
        split = layout.expert * expert_tensor
        # expert data parallelism: ranks that hold the same experts
        ranks = max(1, everyone // split)
    else:
        split = layout.tensor if weights.split == "tensor" else 1
        ranks = data_ranks(layout)
    if layout.shard is not None:
        ranks = max(1, ranks * min(layout.shard, data_ranks(layout)) // data_ranks(layout))
    trained = weights.count if weights.trained is None else weights.trained
    return Share(
        count=_divided(weights.count, split),
        trained=_divided(trained, split),
        largest=_divided(min(weights.largest, weights.count), split),
        ranks=ranks,
        matrix=part.place == "body",
        stored_bytes=weights.stored_bytes,
    )


def _divided(count: int, ranks: int) -> int:
    return -(-count // ranks)
