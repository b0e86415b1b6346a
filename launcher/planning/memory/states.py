"""What an optimizer keeps for every parameter, and what one of its steps holds for a moment."""

from __future__ import annotations

from dataclasses import dataclass
from math import isqrt

from launcher.planning.memory.setting import Setting

__all__ = ["Step", "state_bytes", "step_of"]

_STATES = {
    "sgd": 0,
    "adam": 2,
    "adamw": 2,
    "adamw-8bit": 2,
    "rmsprop": 1,
    "lamb": 2,
    "lars": 1,
    "adafactor": 0,
    "lion": 1,
    "muon": 1,
}
"""Numbers kept per parameter, without momentum.

Source: pytorch@v2.13.0 torch/optim/{sgd,adam,rmsprop,_adafactor,_muon}.py; You et al. 2017, arXiv:1708.03888 (LARS),
2019, arXiv:1904.00962 (LAMB); Chen et al. 2023, arXiv:2302.06675 (Lion).
"""

_FOREACH = {"adam": 1, "adamw": 1, "rmsprop": 1, "lamb": 1, "lars": 1, "adafactor": 1, "lion": 1}
"""Copies of all trained parameters that one foreach step holds.

Source: pytorch@v2.13.0 torch/optim/optimizer.py: "foreach uses ~ sizeof(params) more peak memory than the for-loop".
"""

_LOOP = {"adam": 2, "adamw": 2, "rmsprop": 1, "lamb": 2, "lars": 1, "adafactor": 2, "lion": 2, "muon": 2}
"""Copies of the largest tensor that one step in a loop holds (Adam: square root, and its quotient).

Source: pytorch@v2.13.0 torch/optim/adam.py:_single_tensor_adam.
"""

_BLOCK = 256
"""Numbers that share one fp32 constant in 8-bit states; smaller tensors than 4096 keep fp32.

Source: bitsandbytes@0.49 bitsandbytes/optim/optimizer.py; Dettmers et al. 2021, arXiv:2110.02861.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """What one optimizer step holds beyond states and gradients: copies of everything, or of the largest tensor."""

    everything: int
    largest: int
    fused: bool = False


def state_bytes(*, setting: Setting, numbers: int, largest: int, matrix: bool) -> int:
    """Bytes of optimizer state for parameters held by one rank.

    `matrix`: whether Muon orthogonalizes them; embeddings, heads and vectors are left to Adam.
    """
    each = setting.formats.state_bytes
    name = setting.optimizer
    if name == "adamw-8bit":
        return 2 * numbers + 2 * 4 * -(-numbers // _BLOCK)
    if name == "adafactor":
        # a row and a column for every matrix; shapes are not known here, squares are close enough to nothing
        side = isqrt(largest)
        return 2 * each * (numbers // side) if side else 0
    if name == "muon" and not matrix:
        return 2 * each * numbers
    count = _STATES[name] + (1 if name in ("sgd", "rmsprop") and setting.momentum > 0 else 0)
    return count * each * numbers


def step_of(setting: Setting) -> Step:
    """Copies that one step of the optimizer holds."""
    name = setting.optimizer
    if setting.step_copies is not None:
        return Step(everything=setting.step_copies, largest=0)
    how = implementation_of(setting)
    if how == "fused" or name == "adamw-8bit":
        return Step(everything=0, largest=0, fused=True)
    if how == "foreach" and name != "muon":
        return Step(everything=_FOREACH.get(name, 0), largest=0)
    return Step(everything=0, largest=_LOOP.get(name, 0))


def implementation_of(setting: Setting) -> str:
    """foreach, fused or for-loop; torch loops on CPU, and DeepSpeed and Megatron bring fused kernels for GPUs.

    Source: pytorch@v2.13.0 torch/optim/optimizer.py:_default_to_fused_or_foreach; DeepSpeed@0.19.8
    deepspeed/runtime/engine.py:_configure_basic_optimizer.
    """
    if setting.optimizer_implementation != "auto":
        return setting.optimizer_implementation
    if setting.device_kind == "cpu":
        return "for-loop"
    return "fused" if setting.engine in ("deepspeed", "megatron") else "foreach"
