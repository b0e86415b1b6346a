"""What the environment says of the job before the first line of the script, against the plan. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from launcher.spec.plan import RunPlan

__all__ = ["Difference", "environment_differences", "rank_of"]


class Difference(NamedTuple):
    """One fact that is not the planned one: the message, its reasons, what to do."""

    message: str
    because: tuple[str, ...] = ()
    hint: str = ""


def rank_of(environ: Mapping[str, str]) -> int:
    """This process's rank; 0 where nobody numbered it."""
    return _number(environ, "RANK") or 0


def environment_differences(*, environ: Mapping[str, str], plan: RunPlan) -> Iterator[Difference]:
    """Every difference between the environment and the plan."""
    planned = plan.layout.world_size
    yield from _hash(environ, plan)
    found = _number(environ, "WORLD_SIZE")
    if found is None and planned > 1:
        yield Difference(
            f"planned {_ranks(planned)}, found 1: this process was started without a rendezvous",
            ("WORLD_SIZE is not set: nothing would connect the ranks, each would train alone",),
            "start the job by its rendered command (Accelerate: `--multi_gpu`, on a CPU ACCELERATE_USE_CPU=true)",
        )
        return
    if found is not None and found != planned:
        yield Difference(
            f"planned {_ranks(planned)}, found {found}",
            (f"WORLD_SIZE={environ['WORLD_SIZE']}",),
            "start the job by its rendered command, which asks for the planned number of processes",
        )
        return
    yield from _places(environ, plan)


def _hash(environ: Mapping[str, str], plan: RunPlan) -> Iterator[Difference]:
    expected = environ.get("BATCHWRIGHT_PLAN_HASH")
    if expected and expected != plan.plan_hash:
        yield Difference(
            f"planned {expected[:12]}, found plan {plan.plan_hash[:12]}",
            ("BATCHWRIGHT_PLAN_HASH names the plan that was approved, the plan file holds another one",),
            "give every node the run folder that was rendered",
        )


def _places(environ: Mapping[str, str], plan: RunPlan) -> Iterator[Difference]:
    planned = plan.layout.devices_per_node
    # DeepSpeed's own launcher says LOCAL_SIZE: deepspeed@0.19.8 launcher/launch.py:main
    name = "LOCAL_WORLD_SIZE" if "LOCAL_WORLD_SIZE" in environ else "LOCAL_SIZE"
    found = _number(environ, name)
    if found is not None and found != planned:
        yield Difference(
            f"planned {_ranks(planned)} on every node, found {found}",
            (f"{name}={environ[name]}",),
            "start the job by its rendered command on every node",
        )
    rank = _number(environ, "RANK")
    if rank is not None and not 0 <= rank < plan.layout.world_size:
        yield Difference(
            f"planned ranks 0 to {plan.layout.world_size - 1}, found rank {rank}", (f"RANK={rank}",)
        )


def _number(environ: Mapping[str, str], name: str) -> int | None:
    text = environ.get(name, "").strip()
    return int(text) if text.removeprefix("-").isdecimal() else None


def _ranks(number: int) -> str:
    return f"{number} rank" if number == 1 else f"{number} ranks"
