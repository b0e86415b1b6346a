"""The cheap half of the doctor, which `run` does by itself before it starts anything."""

from __future__ import annotations

import os
from pathlib import Path

from launcher.errors import Problem
from launcher.handoff.doctor.answers import Answer
from launcher.handoff.order import Order

__all__ = ["preflight"]


def preflight(order: Order, *, run_parent: Path) -> tuple[Problem, ...]:
    """Problems of the hosts that the job would meet; errors and warnings.

    All hosts where pdsh reaches them (a second or two when all is well). This machine: its accelerators, without
    starting a process. Where a scheduler chooses the hosts, they are asked when they meet.
    """
    if order.bundle.hosts:
        from launcher.handoff.doctor.examining import examine

        return examine(order, run_parent=run_parent, cheap=True).problems
    here = order.plan.launch.executor == "local" and order.plan.launch.container is None
    if not here or order.plan.layout.device_kind == "cpu":
        return ()
    from launcher.discovery.node_facts import collect
    from launcher.handoff.doctor.machines import devices

    visible = order.environ.get("CUDA_VISIBLE_DEVICES")
    facts = collect({"checks": ["devices"]})
    if "devices" in facts:
        facts["devices"]["visible"] = visible
    answer = Answer(host=os.uname().nodename, facts=facts, exit=0)
    return devices(order.plan, (answer,)).problems
