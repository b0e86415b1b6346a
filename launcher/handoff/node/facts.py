"""What this node tells the others of itself."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

from launcher.discovery.node_facts import collect
from launcher.errors import Problem
from launcher.handoff.node.hello import Hello
from launcher.handoff.node.orders import NodeOrder

__all__ = ["available_devices", "own_hello"]


def own_hello(order: NodeOrder, *, host: str, problems: Sequence[Problem]) -> Hello:
    """This node's first words. problems: what it misses."""
    facts = collect({"checks": ["versions", "devices"]})
    return Hello(
        node=order.node,
        host=host,
        launch=order.launch,
        plan_hash=order.plan.plan_hash,
        versions=facts.get("versions", {}),
        devices=available_devices(facts.get("devices"), kind=order.plan.layout.device_kind),
        time=time.time(),
        problems=tuple(problems),
    )


def available_devices(facts: Mapping[str, Any] | None, *, kind: str) -> int | None:
    """Accelerators of the planned kind that a process here may use; None where the plan has none, or nobody knows."""
    if facts is None or kind == "cpu":
        return None
    if facts.get("kind") != kind:
        return 0
    visible = facts.get("visible")
    count = int(facts.get("count") or 0)
    return (
        count
        if visible is None
        else min(count, len([each for each in str(visible).split(",") if each.strip()]))
    )
