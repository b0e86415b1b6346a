"""How many ranks really train together, as torch.distributed and Accelerate see it in this process."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

from batchwright_witness.environment import Difference

__all__ = [
    "accelerate_difference",
    "asked_difference",
    "count_difference",
    "found_world_size",
    "group_difference",
]

HINT = (
    "leave the number of ranks to the environment: WORLD_SIZE, RANK and MASTER_ADDR are set for every process"
)


def found_world_size() -> int | None:
    """Ranks of the default process group; None without one."""
    distributed: Any = sys.modules.get("torch.distributed")
    if distributed is None or not distributed.is_available() or not distributed.is_initialized():
        return None
    return int(distributed.get_world_size())


def group_difference(planned: int) -> Difference | None:
    """The ranks that torch.distributed sees are not the planned ones."""
    found = found_world_size()
    if found is None:
        if planned == 1:
            return None
        return Difference(
            f"planned {planned} ranks that train together, found 1: this process trains alone",
            ("torch.distributed has no process group, so nothing averages the gradients",),
            "call init_process_group, or let Accelerate or DeepSpeed do it; "
            "Accelerate on a CPU needs ACCELERATE_USE_CPU=true",
        )
    if found == planned:
        return None
    return Difference(f"planned {planned} ranks, found {found}", (f"torch.distributed sees {found}",), HINT)


def accelerate_difference(planned: int) -> Difference | None:
    """The ranks that Accelerate sees are not the planned ones.

    Accelerate shards data by its own count, which on a CPU with DeepSpeed is 1 whatever torch.distributed sees.

    Judged only where the script has an Accelerator: its state alone is also made for logging.
    """
    state: Any = sys.modules.get("accelerate.state")
    if state is None or not state.AcceleratorState._shared_state:  # noqa: SLF001
        return None
    found = state.PartialState._shared_state.get("num_processes")  # noqa: SLF001
    return None if found is None else count_difference(planned, int(found))


def count_difference(planned: int, found: int) -> Difference | None:
    """Accelerate's own count of ranks is not the planned one."""
    if found == planned:
        return None
    sees = found_world_size()
    return Difference(
        f"planned {planned} ranks, found {found}: Accelerate counts {found} in this process",
        (
            f"torch.distributed sees {sees if sees is not None else 'no process group'}",
            "Accelerate cuts the data by its own count: every rank would train on the same samples",
        ),
        "on a CPU set ACCELERATE_USE_CPU=true and leave DeepSpeed to the deepspeed engine",
    )


def asked_difference(*, planned: int, asked: Any, environ: Mapping[str, str]) -> Difference | None:
    """The world size that a script asks init_process_group for: a wrong one would wait half an hour for its ranks."""
    typed = isinstance(asked, int) and asked > 0
    text = str(asked) if typed else environ.get("WORLD_SIZE", "")
    if not text.isdecimal() or int(text) == planned:
        return None
    where = "init_process_group(world_size=...)" if typed else "WORLD_SIZE, as the script has set it,"
    return Difference(f"planned {planned} ranks, found {text}", (f"{where} says {text}",), HINT)
