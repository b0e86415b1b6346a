"""A training loop in a trial (`batchwright probe`, `rehearse`, `selftest`): it ends after a few optimizer steps."""

from __future__ import annotations

import contextlib
import os
import sys
import time

from batchwright_witness.exits import record_exit
from batchwright_witness.probing import ProbeOrder, probe_record
from launcher.runtime.by_length import ByLength
from launcher.runtime.handshake import meet
from launcher.runtime.world import World
from launcher.spec.plan import RunPlan

__all__ = ["Probe"]

LATER_SECONDS = 0.5
"""Between the others' end and rank 0's, which may hold the store through which they ask."""


class Probe:
    """Counts the optimizer steps of this process."""

    def __init__(self, order: ProbeOrder, *, plan: RunPlan, world: World) -> None:
        self._order, self._plan, self._world = order, plan, world
        self._done = 0
        self.samples = order.samples
        """Which samples come first; None: those of the plan's order."""
        self.by_length: ByLength | None = None

    def stepped(self, *, rank: int, world_size: int) -> None:
        """One more optimizer step. Ends this process with exit code 0 after the last one that is asked for.

        os._exit: the script would train on, and what it does at its end is not part of a step.
        """
        self._done += 1
        if self._done < self._order.steps:
            return
        record_exit(
            folder=self._world.folder,
            rank=rank,
            code=0,
            error=None,
            more={"probe": {**probe_record(steps=self._done), "by_length": self._lengths()}},
        )
        meeting = meet(rank, world_size)
        if meeting is not None:
            with contextlib.suppress(RuntimeError):  # torch.distributed's errors; who is gone has left word
                meeting.exchange("done", seconds=self._plan.launch.handshake_seconds)
            if rank == 0:
                time.sleep(LATER_SECONDS)
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(0)

    def _lengths(self) -> dict[str, int | None] | None:
        found = self.by_length
        if found is None:
            return None
        return {"scanned": found.scanned, "longest": found.longest, "shortest": found.shortest}
