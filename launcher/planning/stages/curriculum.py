"""DeepSpeed's sequence-length curricula as functions of a step: what its configuration blocks mean, to compare with.

It cuts sequences short while their number stays, so that a step holds fewer tokens; stages can keep tokens per step.
Source: deepspeedai/DeepSpeed@edaa7221 deepspeed/runtime/data_pipeline/curriculum_scheduler.py.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

__all__ = ["fixed_discrete", "fixed_linear", "fixed_root"]


def fixed_root(
    *,
    step: int,
    min_difficulty: int,
    max_difficulty: int,
    total_curriculum_step: int,
    difficulty_step: int,
    root_degree: float,
) -> int:
    """Sequence length (tokens) at a step, which the engine counts from 1: global_steps + 1.

    floor((step / total) ** (1 / root) * (max - min) + min), down to a multiple of difficulty_step, at most max.
    Source: CurriculumScheduler.__fixed_root_get_difficulty; engine.py calls update_difficulty(global_steps + 1).
    """
    share = math.pow(step / total_curriculum_step, 1 / root_degree)
    length = math.floor(share * (max_difficulty - min_difficulty) + min_difficulty)
    return min(length - length % difficulty_step, max_difficulty)


def fixed_linear(
    *,
    step: int,
    min_difficulty: int,
    max_difficulty: int,
    total_curriculum_step: int,
    difficulty_step: int,
) -> int:
    """Sequence length (tokens) at a step that grows in proportion to it: fixed_root of degree 1."""
    return fixed_root(
        step=step,
        min_difficulty=min_difficulty,
        max_difficulty=max_difficulty,
        total_curriculum_step=total_curriculum_step,
        difficulty_step=difficulty_step,
        root_degree=1,
    )


def fixed_discrete(*, step: int, difficulty: Sequence[int], max_step: Sequence[int]) -> int:
    """Sequence length (tokens) at a step from a list: the first whose last step is not past, else the last one.

    max_step has one entry less than difficulty. Source: CurriculumScheduler.__fixed_discrete_get_difficulty.
    """
    return next(
        (length for length, last in zip(difficulty, max_step, strict=False) if step <= last), difficulty[-1]
    )
