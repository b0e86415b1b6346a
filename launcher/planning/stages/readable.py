"""Whether an engine's own checkpoint can be read behind a restart, on another layout."""

from __future__ import annotations

from itertools import pairwise

from launcher.errors import Problem
from launcher.planning.stages.parts import StagePart
from launcher.planning.words import counted
from launcher.spec.plan import LayoutPlan

__all__ = ["readable_problems"]


def readable_problems(parts: tuple[StagePart, ...]) -> tuple[Problem, ...]:
    """A warning where DeepSpeed would have to read optimizer states that it has written for other ranks.

    Each rank's states are a file of their own, which ZeRO reads back on as many ranks only, ZeRO 1 and 2 alike and 3 by
    itself; without ZeRO there are none.
    Source: deepspeed@0.19.8 runtime/engine.py:_load_zero_checkpoint (ZeRORuntimeException on another data-parallel
    size) and runtime/state_dict_factory.py:check_ckpt_list (no parameters in one file with ZeRO 3).
    Checked: deepspeed 0.19.8 on CPU: ZeRO 1 to 2 is read; 0 to 2, 1 to 3, 3 to 2, and ZeRO 2 on other ranks are not.
    """
    found = []
    for before, here in pairwise(parts):
        old, new = before.layout, here.layout
        if "zero" in {old.data_strategy, new.data_strategy} and _files(before) != _files(here):
            problem = Problem(
                code="checkpoint-of-another-layout",
                severity="warning",
                path=here.stage.path,
                message=f"stage {here.stage.number} of {here.stage.count} goes on with {_named(new, here)} from "
                f"{_named(old, before)}, and DeepSpeed does not read its own checkpoint so",
                because=(
                    "deepspeed@0.19.8 reads each rank's optimizer states on as many ranks, and ZeRO 3 by itself",
                ),
                hint="let the script save whole states, or convert with DeepSpeed's ds_to_universal.py",
            )
            found.append(problem)
    return tuple(found)


def _files(part: StagePart) -> object:
    """What has to be alike for its files to be read."""
    layout = part.layout
    if layout.data_strategy != "zero":
        return layout.data_strategy
    return layout.zero_stage == 3, part.batch.data_parallel_size


def _named(layout: LayoutPlan, part: StagePart) -> str:
    strategy = f"ZeRO {layout.zero_stage}" if layout.data_strategy == "zero" else layout.data_strategy
    return f"{strategy} on {counted(part.batch.data_parallel_size, 'rank')}"
