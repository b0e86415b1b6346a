"""All ranks tell what they are, and every rank compares that with the plan: the proof that the plan is what trains.

Reports travel through the process group's key-value store and not through a collective: a store cannot deadlock, and
it can say which rank never came.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from datetime import timedelta
from itertools import count
from typing import Any

from launcher.errors import Problem
from launcher.runtime.comparing import Report, compare
from launcher.runtime.ending import leave, say
from launcher.runtime.reducers import Reducer
from launcher.runtime.world import World
from launcher.spec.plan import RunPlan

__all__ = ["Meeting", "agreement", "meet", "prove"]

FAREWELL_SECONDS = 5  # long enough for every rank to read the others' reports before the store's host ends
_meetings = count()  # one namespace of keys per meeting; all ranks meet in the same order


class Meeting:
    """One exchange of JSON values between all ranks over a torch.distributed store."""

    def __init__(self, store: Any, *, rank: int, world_size: int) -> None:
        self.store, self.rank, self.world_size = store, rank, world_size
        self._prefix = f"batchwright/{next(_meetings)}"

    def exchange(self, message: Any, *, seconds: float) -> tuple[list[Any], tuple[int, ...]]:
        """What every rank said, in the order of ranks, and the ranks that said nothing in time."""
        keys = [self._key(rank) for rank in range(self.world_size)]
        self.store.set(self._key(self.rank), json.dumps(message))
        there = [True] * self.world_size
        if not self._wait(keys, seconds):
            there = [self.store.check([key]) for key in keys]
        said = [json.loads(self.store.get(key)) for key, known in zip(keys, there, strict=True) if known]
        return said, tuple(rank for rank, known in enumerate(there) if not known)

    def part(self, problems: Sequence[Problem], *, ranks: Sequence[int]) -> None:
        """Lets the first rank speak before any rank ends: a launcher ends all of them as soon as one has."""
        speaker, others = ranks[0], ranks[1:]
        if self.rank == speaker:
            say(problems)
            self.store.set(self._key("said"), "1")
            self._wait([self._key(f"read/{rank}") for rank in others], FAREWELL_SECONDS)
        else:
            self.store.set(self._key(f"read/{self.rank}"), "1")
            self._wait([self._key("said")], FAREWELL_SECONDS)
            print(f"rank {self.rank} ends: rank {speaker} says why [{problems[0].code}]", file=sys.stderr)

    def _key(self, name: int | str) -> str:
        return f"{self._prefix}/{name}"

    def _wait(self, keys: Sequence[str], seconds: float) -> bool:
        try:
            self.store.wait(list(keys), timedelta(seconds=seconds))
        except RuntimeError:  # torch.distributed.DistStoreError, of a timeout or of a host that is gone
            return False
        return True


def prove(plan: RunPlan, world: World, reducer: Reducer) -> list[Report]:
    """The reports of all ranks, which agree with the plan; ends this rank, and every other, when they do not."""
    report = _report(plan, world, reducer)
    meeting = meet(report.rank, report.world_size)
    if meeting is None:  # nobody to talk to: a lone process speaks for itself
        problems = compare(plan, [report])
        if problems:
            say(problems)
            leave(world, error=str(problems[0]))
        return [report]
    seconds = plan.launch.handshake_seconds
    said, absent = meeting.exchange(asdict(report), seconds=seconds)
    reports = [Report(**{**message, "differences": tuple(message["differences"])}) for message in said]
    problems = compare(plan, reports, absent=absent, timeout_seconds=seconds)
    if problems:
        meeting.part(problems, ranks=[each.rank for each in reports])
        leave(world, error=str(problems[0]))
    return reports


def agreement(plan: RunPlan, reports: Sequence[Report], *, seconds: float) -> str:
    """The line that says that the world is the planned one."""
    nodes, versions = len({report.node for report in reports}), reports[0].versions
    hosts = "1 host" if nodes == 1 else f"{nodes} hosts"
    libraries = ", ".join(f"{name} {version}" for name, version in versions.items() if name != "python")
    return (
        f"world   {len(reports)} of {plan.layout.world_size} ranks agree: {hosts}, {libraries}, "
        f"plan {plan.plan_hash[:6]}  {seconds:.1f} s"
    )


def meet(rank: int, world_size: int) -> Meeting | None:
    """A new meeting of all ranks over the process group's store; None for a lone process."""
    if world_size == 1:
        return None
    from torch.distributed import distributed_c10d

    # the store has no public accessor; it exists under this name since torch 1.8
    store = distributed_c10d._get_default_store()  # noqa: SLF001
    return Meeting(store, rank=rank, world_size=world_size)


def _report(plan: RunPlan, world: World, reducer: Reducer) -> Report:
    differences = list(reducer.differences(plan))
    if world.plan_hash not in {None, plan.plan_hash}:
        differences.append(
            f"planned {world.plan_hash} (BATCHWRIGHT_PLAN_HASH), found plan {plan.plan_hash} in LAUNCHER_PLAN"
        )
    if world.world_size not in {None, reducer.world_size}:
        differences.append(
            f"planned WORLD_SIZE={world.world_size} for this process, found {reducer.world_size}: "
            f"{reducer.name} trains without the others"
        )
    return Report(
        rank=reducer.rank if reducer.world_size > 1 else world.rank,
        node=world.node,
        local_rank=world.local_rank,
        world_size=reducer.world_size,
        plan_hash=plan.plan_hash,
        device=str(reducer.device),
        device_id=_device_id(reducer.device, world),
        versions=_versions(),
        differences=tuple(differences),
    )


def _device_id(device: Any, world: World) -> str:
    """What tells a device from its neighbours even where every rank sees only one, which it then calls number 0."""
    if device.type != "cuda":
        return "" if device.type == "cpu" else f"{world.visible_devices}/{device}"
    import torch

    index = device.index if device.index is not None else torch.cuda.current_device()
    return str(torch.cuda.get_device_properties(index).uuid)


def _versions() -> dict[str, str]:
    """Versions of Python and of the training libraries that this process has imported."""
    modules = {name: sys.modules.get(name) for name in ("torch", "deepspeed", "accelerate")}
    return {
        "python": f"{sys.version_info.major}.{sys.version_info.minor}",
        **{name: str(getattr(module, "__version__", "?")) for name, module in modules.items() if module},
    }
