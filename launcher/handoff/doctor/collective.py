"""The short collective: one small job through the recipe's own engine and executor, and what its ranks measured."""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import Any

from launcher.errors import Problem
from launcher.handoff.doctor.collective_script import BEGIN, END, WAITED
from launcher.handoff.order import Order
from launcher.handoff.outcome import log_tail
from launcher.handoff.starting import start_quietly
from launcher.reporting.run_text import error_context
from launcher.spec.checkup import Collective, HostRate
from launcher.spec.cluster import Cluster
from launcher.spec.launch import Native, Timeouts
from launcher.spec.plan import RunPlan
from launcher.spec.recipe import Recipe

__all__ = ["collective_recipe", "read_collective", "run_collective"]

SCRIPT = "launcher.handoff.doctor.collective_script"
TENSOR_BYTES = 4 * 2**20
LIMIT_SECONDS = 10.0
WHOLE_SECONDS = 180.0
"""DeepSpeed builds an operator at its first start on a CPU, which takes a minute; the ranks meet within another."""
_SLOW = 0.7
"""Of the usual rate; below it a host is named."""
_RESULT = re.compile(re.escape(BEGIN) + r"(.*)" + re.escape(END))


def collective_recipe(
    recipe: Recipe, plan: RunPlan, *, python: str, everywhere: bool, hostfile: Path
) -> Recipe:
    """A recipe that starts the small script as the recipe starts its own: engine, machines, network, setup, image.

    everywhere: on all hosts; else on one, this machine where it is among them or where nothing names hosts.
    hostfile: where the one host is written down, if it is another one.
    """
    layout, hosts = plan.layout, plan.launch.hosts
    here = not hosts or any(name.partition(".")[0] == os.uname().nodename for name in hosts)
    alone = not everywhere or layout.num_nodes == 1
    named = recipe.cluster.hostfile if isinstance(recipe.cluster, Cluster) and not alone else None
    if alone and not here:
        hostfile.write_text(f"{hosts[0]} slots={layout.devices_per_node}\n")
        named = str(hostfile)
    cluster = recipe.cluster if isinstance(recipe.cluster, Cluster) else Cluster()
    cluster = replace(
        cluster,
        nodes=1 if alone else layout.num_nodes,
        groups=(),
        devices_per_node=None if layout.devices else layout.devices_per_node,
        devices=layout.devices,
        device=layout.device,
        hostfile=named,
    )
    launch = replace(
        recipe.launch,
        executor="local" if alone and here and recipe.launch.executor == "ssh" else recipe.launch.executor,
        script=None,
        module=SCRIPT,
        args=(layout.backend, str(LIMIT_SECONDS), str(TENSOR_BYTES)),
        runtime=False,
        script_applies=(),
        pass_env=(),
        python=python,
        workdir="/",  # nobody's `launcher.py` lies there
        native=Native(),
        restarts=0,
        timeouts=Timeouts(),
    )
    world = layout.devices_per_node * (1 if alone else layout.num_nodes)
    return Recipe(
        name="collective",
        global_batch_size=world,
        sequence_length=16,
        hidden_size=64,
        cluster=cluster,
        launch=launch,
        directory=recipe.directory,
        allocation=recipe.allocation,
    )


def run_collective(
    order: Order,
    *,
    directory: Path,
    wake: int,
    say: Callable[[str], None],
    clock: Callable[[], float] = time.monotonic,
    limit_seconds: float = WHOLE_SECONDS,
) -> tuple[Collective | None, tuple[Problem, ...]]:
    """What was measured, and what was wrong with it. directory: its run folder, which does not exist yet.

    wake: descriptor of signals_as_bytes(). limit_seconds: for all of it, an engine that never starts the ranks
    included. Raises HandoffError where nothing was started.
    """
    began = clock()
    ending = start_quietly(order, directory=directory, wake=wake, say=say, limit_seconds=limit_seconds)
    if ending.interrupted_by is not None:
        raise KeyboardInterrupt
    return read_collective(
        log_tail(directory / "logs" / "launch.log"), plan=order.plan, seconds=clock() - began
    )


def read_collective(
    log: str, *, plan: RunPlan, seconds: float
) -> tuple[Collective | None, tuple[Problem, ...]]:
    """From what the job printed."""
    match = _RESULT.search(log)
    if match is None:
        waited = [line.partition(WAITED)[2] for line in log.splitlines() if WAITED in line]
        return None, (_failed(plan, waited, log),)
    found = json.loads(match[1])
    ranks = found["ranks"]
    names = list(dict.fromkeys(str(each["host"]) for each in ranks))
    hosts = tuple(_host_rate(name, ranks, int(found["bytes"]), alone=len(names) == 1) for name in names)
    wrong = [each for each in ranks if not each["correct"]]
    result = Collective(
        world_size=len(ranks),
        backend=plan.layout.backend,
        engine=plan.launch.engine,
        tensor_bytes=int(found["bytes"]),
        seconds=seconds,
        hosts=hosts,
        slowest=_slowest(hosts),
    )
    return result, (_wrong(wrong),) if wrong else ()


def _host_rate(name: str, ranks: Sequence[Mapping[str, Any]], size: int, *, alone: bool) -> HostRate:
    own = [each for each in ranks if each["host"] == name]
    seconds = max(float(each["seconds"]) for each in own)
    inside = [seconds] if alone else [float(each["within"]) for each in own if each["within"]]
    pairs = [float(value) for each in own for value in each["between"].values()]
    count = len(own)
    return HostRate(
        host=name,
        ranks=count,
        seconds=seconds,
        within=size * 2 * (count - 1) / count / max(inside) if inside and count > 1 else None,
        between=size / min(pairs) if pairs else None,
    )


def _slowest(hosts: Sequence[HostRate]) -> str | None:
    """The host that is well below the others, within or to both of its neighbours."""
    worst: tuple[float, str] | None = None
    for rates in ([each.within for each in hosts], [each.between for each in hosts]):
        known = [rate for rate in rates if rate is not None]
        if len(known) < 2:
            continue
        for host, rate in zip(hosts, rates, strict=True):
            share = rate / median([other for other in known if other is not rate] or known) if rate else 1.0
            if share < _SLOW and (worst is None or share < worst[0]):
                worst = (share, host.host)
    return worst[1] if worst else None


def _failed(plan: RunPlan, waited: Sequence[str], log: str) -> Problem:
    hint = (
        "NCCL_DEBUG: INFO in launch.env tells more" if plan.layout.backend == "nccl" else "see the log above"
    )
    if waited and plan.layout.backend == "nccl":
        hint = "cards without a working peer-to-peer path hang: try NCCL_P2P_DISABLE: 1 in launch.env"
    elif waited:
        hint = "is a port between the hosts closed? only the main port has been tried"
    what = "did not end" if waited else "failed"
    return Problem(
        code="collective-failed",
        path="launch.engine",
        message=f"an all-reduce over {plan.layout.world_size} ranks through {plan.launch.engine} {what}",
        because=tuple(dict.fromkeys(waited))[:6] or error_context(log=log, error=""),
        hint=hint,
    )


def _wrong(ranks: Sequence[Mapping[str, Any]]) -> Problem:
    shown = ", ".join(f"{each['rank']} on {each['host']}" for each in ranks[:6])
    return Problem(
        code="collective-failed",
        path="launch.engine",
        message="the all-reduce gave a wrong sum",
        because=(f"ranks {shown}",),
        hint="memory or a link is broken: leave that host out, and look at its kernel's log",
    )
