"""Whether a job ended because memory ran out, told apart from everything else that ends a job."""

from __future__ import annotations

import re
from collections.abc import Sequence

from launcher.handoff.outcome import RankEnd, first_failure

__all__ = ["memory_failure"]

_KILLED = 137
_TERMINATED = 143

# Source: torch@2.13.0 c10/core/impl/alloc_cpu.cpp:alloc_cpu; torch/cuda (OutOfMemoryError: CUDA out of memory);
# c10/hip (HIP out of memory); CPython Objects/exceptions.c:MemoryError; libstdc++ std::bad_alloc; strerror(ENOMEM);
# CPython Python/thread_pthread.h (a thread's stack is private memory too)
_WORDS = re.compile(
    r"DefaultCPUAllocator: (can't allocate|not enough) memory"
    r"|OutOfMemoryError|(CUDA|HIP|HPU) out of memory"
    r"|CUDA error: out of memory|NCCL .*out of memory|CUBLAS_STATUS_ALLOC_FAILED"
    r"|\bMemoryError\b|std::bad_alloc|Cannot allocate memory"
    r"|can't start new thread"
)


def memory_failure(*, ends: Sequence[RankEnd], log: str, world_size: int) -> str | None:
    """What the rank that ran out of memory said; None where no rank did.

    ends: the ranks' records. log: the end of what the job printed. The others then fail too, at the next exchange,
    and maybe first by their clock: one rank's word is enough. A rank that left no word was killed (SIGKILL) or aborted.
    """
    for end in sorted(ends, key=lambda each: each.time):
        if end.exit and (found := _line(end.error)):
            return f"rank {end.rank}: {found}"
    silent = len(ends) < world_size
    if not silent:
        return None
    reported = first_failure(
        ends=[end for end in ends if end.exit in {0, _TERMINATED}], log=log, world_size=world_size, host=""
    )
    if reported is not None and reported.exit == _KILLED:
        return f"rank {reported.rank}: killed by signal 9, as a system does that runs out of memory"
    if found := _line(log):
        return found
    return None


def _line(text: str) -> str | None:
    """The first line that says so."""
    return next((line.strip() for line in text.splitlines() if _WORDS.search(line)), None)
