"""What the ranks say of themselves, and every way in which that can differ from the plan. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from launcher.errors import Problem
from launcher.spec.plan import RunPlan

__all__ = ["Report", "compare"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What one rank says of itself."""

    rank: int
    node: str
    local_rank: int
    world_size: int
    """Ranks that torch.distributed sees; 1 without a process group."""
    plan_hash: str
    device: str
    """Where the parameters are: `cpu`, `cuda:0`."""
    device_id: str = ""
    """The device's own identity, empty for a CPU."""
    versions: dict[str, str] = field(default_factory=dict)
    differences: tuple[str, ...] = ()
    """What this rank's engine has and the plan has not, in words: `planned ..., found ...`."""


def compare(
    plan: RunPlan, reports: Sequence[Report], *, absent: Sequence[int] = (), timeout_seconds: float = 0
) -> tuple[Problem, ...]:
    """Every difference between the plan and the ranks that reported, one problem each; empty when they agree.

    With another number of ranks the rest is a consequence, and only that is said.
    """
    number = (*_missing(plan, absent, timeout_seconds), *_number_of_ranks(plan, reports))
    return number or (
        *_places(plan, reports),
        *_devices(plan, reports),
        *_agreement(reports),
        *_engines(reports),
    )


def _differs(message: str, *, because: Iterable[str] = (), hint: str = "") -> Problem:
    return Problem(code="world-differs", message=message, because=tuple(because), hint=hint)


def _missing(plan: RunPlan, absent: Sequence[int], timeout_seconds: float) -> list[Problem]:
    if not absent:
        return []
    found = plan.layout.world_size - len(absent)
    names = ", ".join(str(rank) for rank in absent)
    return [
        _differs(
            f"planned {plan.layout.world_size} ranks, found {found}: no word from rank {names}",
            because=[f"waited {timeout_seconds:g} s (launch.timeouts.handshake)"],
            hint="look into the log of the absent ranks; every rank has to call runtime.start",
        )
    ]


def _number_of_ranks(plan: RunPlan, reports: Sequence[Report]) -> list[Problem]:
    planned, sizes = plan.layout.world_size, sorted({report.world_size for report in reports})
    if sizes == [planned]:
        return []
    sees = [f"rank {report.rank} on {report.node} sees {report.world_size}" for report in reports[:4]]
    causes = dict.fromkeys(words for report in reports for words in report.differences)
    return [
        _differs(
            f"planned {_many(planned, 'rank')}, found {' and '.join(str(size) for size in sizes)}",
            because=[*sees, *causes],
            hint="start the job by its rendered command, which asks for the planned number of processes",
        )
    ]


def _places(plan: RunPlan, reports: Sequence[Report]) -> list[Problem]:
    """Ranks per node."""
    layout, per_node = plan.layout, Counter(report.node for report in reports)
    if all(size == layout.devices_per_node for size in per_node.values()):
        return []
    return [
        _differs(
            f"planned {_many(layout.num_nodes, 'node')} with {_many(layout.devices_per_node, 'rank')} each, "
            f"found {_many(len(per_node), 'node')}",
            because=[f"{node}: {_many(size, 'rank')}" for node, size in per_node.items()],
            hint="start the job by its rendered command on every node",
        )
    ]


def _devices(plan: RunPlan, reports: Sequence[Report]) -> list[Problem]:
    """Kind of device, and no device twice."""
    # ROCm builds of torch call their devices cuda
    kind = {"rocm": "cuda"}.get(plan.layout.device_kind, plan.layout.device_kind)
    strangers = [report for report in reports if report.device.split(":")[0] != kind]
    if strangers and plan.layout.offload != "parameters":
        named = [f"rank {report.rank} on {report.node}: {report.device}" for report in strangers[:4]]
        hint = "move the model to its device before runtime.start"
        return [_differs(f"planned device {kind}, found {strangers[0].device}", because=named, hint=hint)]
    owners: dict[tuple[str, str], list[Report]] = {}
    for report in reports:
        if report.device_id:
            owners.setdefault((report.node, report.device_id), []).append(report)
    return [
        _differs(
            f"planned one device per rank, found ranks {' and '.join(str(r.rank) for r in ranks)} on {ranks[0].device}",
            because=[f"{node}, device {device_id}"],
            hint="torch.cuda.set_device(local_rank) before the model is built",
        )
        for (node, device_id), ranks in owners.items()
        if len(ranks) > 1
    ]


def _agreement(reports: Sequence[Report]) -> list[Problem]:
    """Plan hash and versions, each rank against the first one."""
    first, found = reports[0], []
    for report in reports[1:]:
        if report.plan_hash != first.plan_hash:
            found.append(
                _differs(
                    f"planned {first.plan_hash[:12]} on rank {first.rank}, found plan {report.plan_hash[:12]} "
                    f"on rank {report.rank}",
                    because=[f"rank {report.rank} runs on {report.node}"],
                    hint="give every node the same run folder",
                )
            )
        for name in sorted({*first.versions, *report.versions}):
            ours, theirs = first.versions.get(name, "none"), report.versions.get(name, "none")
            if ours != theirs:
                found.append(
                    _differs(
                        f"one version of {name} on all ranks is planned, found {ours} on rank {first.rank} and "
                        f"{theirs} on rank {report.rank}",
                        because=[f"rank {report.rank} runs on {report.node}"],
                        hint=f"install {name} {ours} there",
                    )
                )
    return found


def _engines(reports: Sequence[Report]) -> list[Problem]:
    """What the ranks' own engines differ in; said once when all ranks say the same."""
    sayers: dict[str, list[int]] = {}
    for report in reports:
        for words in report.differences:
            sayers.setdefault(words, []).append(report.rank)
    return [
        _differs(
            words,
            because=[
                "on every rank" if len(ranks) == len(reports) else f"on rank {', '.join(map(str, ranks))}"
            ],
            hint="start the job by its rendered command, and give the engine its rendered file",
        )
        for words, ranks in sayers.items()
    ]


def _many(number: int, word: str) -> str:
    return f"{number} {word}" if number == 1 else f"{number} {word}s"
