"""How many parameters a network has: all of them, those one token meets, those that are trained."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from functools import lru_cache
from typing import Any, NamedTuple

from launcher.planning.memory.kinds import KINDS
from launcher.planning.memory.network import Network
from launcher.planning.memory.part import Weights
from launcher.planning.memory.setting import Setting

__all__ = ["Parameters", "count_parameters"]


class Parameters(NamedTuple):
    """Numbers of parameters."""

    total: int
    active: int
    """Without the experts that a token is not sent to."""
    trained: int


def count_parameters(network: Network) -> Parameters:
    """Parameters of the whole network, tied ones once.

    Checked: GPT-2 124,439,808; Llama-3-8B 8,030,261,248; Mixtral-8x7B 46,702,792,704, of which 12,879,925,248 active.
    """
    return _untraced(network) if network.trace is None else _count(network, network.trace)


@lru_cache(maxsize=64)
def _untraced(network: Network) -> Parameters:
    """Asked for again and again while ways out of too little memory are tried."""
    return _count(network, None)


def _count(network: Network, trace: Mapping[str, Any] | None) -> Parameters:
    length = 1 if trace is None else trace["sizes"]["sequence_length"]
    parts = KINDS[network.kind](network, Setting(sequence_length=length))
    held = [(part.repeat, weights) for part in parts for weights in part.weights if not weights.tied]
    chosen = (
        Fraction(network.num_experts_per_token, network.num_experts) if network.num_experts else Fraction(1)
    )
    return Parameters(
        total=sum(repeat * weights.count for repeat, weights in held),
        active=int(
            sum(
                repeat * weights.count * (chosen if weights.split == "expert" else 1)
                for repeat, weights in held
            )
        ),
        trained=sum(repeat * _trained(weights) for repeat, weights in held),
    )


def _trained(weights: Weights) -> int:
    return weights.count if weights.trained is None else weights.trained
