"""What the nodes of one launch are handed beside its bundle: who started it, the caller's variables, secrets."""

from __future__ import annotations

import json
import secrets
from pathlib import Path

from launcher.handoff.order import Order
from launcher.spec.bundle import LaunchBundle
from launcher.spec.caller import HERE, INSIDE_IMAGES, SOFTWARE, allowed

__all__ = ["LAUNCH", "caller_variables", "launch_papers", "remove_secrets", "secret_file"]

LAUNCH = "launch.json"


def launch_papers(order: Order, placed: LaunchBundle) -> dict[str, str]:
    """launch.json, and one file of secrets per node where the bundle wants them; nothing for a job on this machine."""
    if not placed.nodes or order.plan.launch.executor in INSIDE_IMAGES:
        return {}
    names = order.plan.launch.pass_env
    launch = {
        "id": secrets.token_hex(8),
        "environment": caller_variables(order),
        "pass_env": list(names),
    }
    papers = {LAUNCH: json.dumps(launch, indent=1) + "\n"}
    if placed.secret_files and names:
        values = json.dumps({name: order.environ[name] for name in names if name in order.environ}) + "\n"
        papers |= {secret_file(command.node_rank): values for command in placed.nodes}
    return papers


def caller_variables(order: Order) -> dict[str, str]:
    """Variables of the caller that the nodes set before the job, unless the machine they run on is what they tell of.

    With launch.setup or a container the software is the node's: PATH and its like stay as they are there.
    """
    launch = order.plan.launch
    if launch.executor in INSIDE_IMAGES:
        return {}
    left = HERE | SOFTWARE if launch.setup or launch.container is not None else HERE
    return {
        name: value
        for name, value in sorted(order.environ.items())
        if allowed(name) and name not in left and not name.startswith("XDG_") and name not in launch.pass_env
    }


def secret_file(node_rank: int) -> str:
    """Name in the run folder."""
    return f"secrets.{node_rank}.json"


def remove_secrets(directory: Path) -> None:
    """Whatever the nodes did not fetch."""
    for path in directory.glob("secrets.*.json"):
        path.unlink(missing_ok=True)
