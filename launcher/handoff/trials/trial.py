"""A trial: a job started like a run, in a folder of its own, that ends by itself after a few optimizer steps.

What `batchwright probe`, `rehearse` and `selftest` are made of.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from batchwright_witness.probing import ProbeOrder
from launcher.handoff.guard.guarding import Guard, local_guard
from launcher.handoff.order import Order
from launcher.handoff.outcome import exit_code, first_failure, log_tail, rank_ends
from launcher.handoff.running.job import Ending
from launcher.handoff.starting import start_quietly
from launcher.handoff.trials.memory_failure import memory_failure
from launcher.reporting.run_text import error_context
from launcher.spec.bundle import LaunchBundle, NodeCommand

__all__ = ["TrialEnd", "run_trial"]


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialEnd:
    """How a trial ended."""

    exit: int
    """0 where every rank ended as asked."""
    interrupted_by: int | None
    out_of_memory: str | None
    """What the rank said that ran out of memory."""
    records: Mapping[int, Mapping[str, Any]]
    """By rank: host, steps, peak_bytes, allocated_bytes, reserved_bytes, host_bytes, versions, files, inspected."""
    seconds: float
    message: str
    """Which rank failed, and its words."""
    context: tuple[str, ...]
    """The last lines of what a failed job printed."""

    @property
    def dropout(self) -> float:
        """Largest share that a dropout layer of the script leaves out, where its steps were inspected."""
        seen = (record.get("inspected") or {} for record in self.records.values())
        return max((each.get("dropout", 0.0) for each in seen), default=0.0)


def run_trial(
    order: Order,
    *,
    directory: Path,
    asked: ProbeOrder,
    wake: int,
    say: Callable[[str], None],
    clock: Callable[[], float] = time.time,
) -> TrialEnd:
    """Runs a job until every rank has done the optimizer steps asked for, or one has failed; nothing is left then.

    directory: its run folder, which does not exist yet. wake: descriptor of signals_as_bytes(). What the job prints
    goes to its log only.
    """
    order = replace(order, bundle=_asking(order.bundle, asked.environ()))
    guard = local_guard(order.plan, folder=directory, shown=str(directory), say=say)
    began = clock()
    ending = start_quietly(order, directory=directory, wake=wake, say=say, attendants=[guard])
    return _trial_end(order, ending, guard.guard, directory=directory, seconds=clock() - began)


def _trial_end(order: Order, ending: Ending, guard: Guard, *, directory: Path, seconds: float) -> TrialEnd:
    """What records and log say; a guard's reason to end the job comes before what the ranks made of that."""
    ends, printed = rank_ends(directory), log_tail(directory / "logs" / "launch.log")
    world_size, host = order.plan.layout.world_size, os.uname().nodename
    failure = first_failure(
        ends=ends, log=printed if ending.returncode else "", world_size=world_size, host=host
    )
    code = exit_code(returncode=ending.returncode, failure=failure, interrupted_by=ending.interrupted_by)
    message = f"rank {failure.rank}: {_first(failure.error)}" if failure else f"exit code {code}"
    context = error_context(log=printed, error=failure.error if failure else "")
    if guard.reason is not None and ending.interrupted_by is None:
        code, message, context = 1, guard.reason, guard.context
    failed = code != 0 and ending.interrupted_by is None
    return TrialEnd(
        exit=code,
        interrupted_by=ending.interrupted_by,
        out_of_memory=memory_failure(ends=ends, log=printed, world_size=world_size) if failed else None,
        records=_records(directory),
        seconds=seconds,
        message=message,
        context=context if failed else (),
    )


def _asking(bundle: LaunchBundle, wishes: Mapping[str, str]) -> LaunchBundle:
    """The same commands with a trial's wishes in their environment, and in that of what they start on other nodes."""

    def put(commands: tuple[NodeCommand, ...]) -> tuple[NodeCommand, ...]:
        return tuple(replace(each, env={**each.env, **wishes}) for each in commands)

    return replace(bundle, commands=put(bundle.commands), nodes=put(bundle.nodes))


def _records(directory: Path) -> dict[int, dict[str, Any]]:
    found: dict[int, dict[str, Any]] = {}
    for path in sorted(directory.glob("ranks/*.json")):
        try:
            data = json.loads(path.read_text(encoding="utf-8"))
            if isinstance(data["probe"], dict):
                found[int(data["rank"])] = {"host": str(data["host"]), **data["probe"]}
        except (OSError, ValueError, KeyError, TypeError):
            continue
    return dict(sorted(found.items()))


def _first(words: str) -> str:
    lines = words.strip().splitlines()
    return lines[0] if lines else "no word of why"
