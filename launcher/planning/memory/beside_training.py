"""Peaks outside the training step: an evaluation, a checkpoint being saved."""

from __future__ import annotations

from launcher.planning.memory.estimate import Estimate
from launcher.planning.memory.kinds import KINDS
from launcher.planning.memory.network import Network
from launcher.planning.memory.setting import Setting

__all__ = ["evaluation_bytes", "save_bytes"]

_STAY = (
    "parameters",
    "master_weights",
    "optimizer_states",
    "gathered_parameters",
    "workspaces",
    "context",
    "communicators",
)
"""Components of a training step that are held between steps too."""


def evaluation_bytes(*, network: Network, setting: Setting, training: Estimate) -> int:
    """Peak of a forward pass without gradients on one rank, in bytes; states stay where they are.

    setting: with the evaluation's own micro-batch. Nothing is saved, so one part is at work at a time: at most what it
    would save and hold. An upper estimate: inside a part, tensors that nobody needs any more are freed.
    """
    parts = KINDS[network.kind](network, setting)
    at_work = max((part.saved + part.forward for part in parts), default=0)
    return _between_steps(training) + at_work


def save_bytes(*, network: Network, setting: Setting, training: Estimate) -> int:
    """Peak of saving whole weights on one rank, in bytes: states, and one gathered part where ranks share the weights.

    Source: deepspeed@0.19.8 runtime/engine.py:_zero3_consolidated_16bit_state_dict and torch@2.13.0
    distributed/checkpoint/state_dict.py (full_state_dict with cpu_offload) gather a module or tensor at a time.
    """
    if not (setting.layout.strategy == "fsdp" or setting.layout.zero_stage == 3):
        return _between_steps(training)
    parts = KINDS[network.kind](network, setting)
    gathered = max(sum(weights.count for weights in part.weights) for part in parts)
    return _between_steps(training) + gathered * setting.formats.parameter_bytes


def _between_steps(training: Estimate) -> int:
    return sum(training.components.get(name, 0) for name in _STAY)
