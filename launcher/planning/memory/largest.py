"""The largest micro-batch that fits."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

from launcher.planning.divisors import divisors, last_fitting
from launcher.planning.memory.estimate import Band, estimate_memory
from launcher.planning.memory.network import Network
from launcher.planning.memory.setting import Setting

__all__ = ["max_micro_batch_size"]


def max_micro_batch_size(
    *,
    network: Network,
    setting: Setting,
    sequences_per_rank: int,
    limit_bytes: int,
    band: Literal["low", "expected", "high"] = "high",
) -> int | None:
    """Largest micro-batch, in sequences, that divides a rank's sequences per step and fits; None where none does.

    The rest of the rank's sequences is accumulated, so the global batch stays what it is.
    """

    def fits(size: int) -> bool:
        tried = replace(
            setting, micro_batch_size=size, gradient_accumulation_steps=sequences_per_rank // size
        )
        return _of(estimate_memory(network=network, setting=tried).device, band) <= limit_bytes

    return last_fitting(divisors(sequences_per_rank), fits)


def _of(value: Band, band: str) -> int:
    return {"low": value.low, "expected": value.expected, "high": value.high}[band]
