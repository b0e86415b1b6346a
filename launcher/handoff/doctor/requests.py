"""What the hosts are asked for, from an order."""

from __future__ import annotations

import secrets
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from launcher.discovery.node_facts import CHECKS
from launcher.executors.formats.slurm_limits import allocated_hosts
from launcher.handoff.launch_papers import caller_variables
from launcher.handoff.order import Order
from launcher.spec.bundle import port_of

__all__ = ["CHEAP", "Inquiry", "inquiry", "step_hosts"]

CHEAP = ("versions", "interpreter", "devices", "paths", "run_parent", "network", "main")
"""Checks that start no process and wait for no device."""
MEET_SECONDS = 8.0
"""How long the main node's port is kept open for the others; all done, it is closed at once."""
_FOR_COMPILERS = ("CXX", "PATH", "TORCH_EXTENSIONS_DIR")


@dataclass(frozen=True, slots=True, kw_only=True)
class Inquiry:
    """One round of questions."""

    request: dict[str, Any]
    """As launcher.discovery.node_facts.collect takes it."""
    main_address: str
    port: int
    port_written: bool
    """By a person; else it is one of those that runs choose from."""
    cheap: bool


@contextmanager
def inquiry(order: Order, *, run_parent: Path, cheap: bool) -> Iterator[Inquiry]:
    """Valid inside the block: a file beside the runs shows hosts that they share it.

    run_parent: where the run folder will be made.
    """
    plan, token = order.plan, secrets.token_hex(8)
    launch, hosts = plan.launch, order.bundle.hosts or step_hosts(order)
    address = hosts[0] if launch.main_address == "auto" and hosts else launch.main_address
    port = launch.main_port or port_of(token)
    environment = {**caller_variables(order), **_rendered(order)}
    paths = [path for path in environment.get("PYTHONPATH", "").split(":") if path]
    with _mark(run_parent) as mark:
        request = {
            "checks": CHEAP if cheap else tuple(CHECKS),
            "leaves": bool(order.bundle.hosts),
            "names": list(step_hosts(order)),
            "num_nodes": plan.layout.num_nodes,
            "main_address": address if hosts else None,
            "main_port": port,
            "token": token,
            "meet_seconds": MEET_SECONDS if len(hosts) > 1 else 0.0,
            "workdir": launch.workdir,
            "script": launch.script,
            "paths": list(plan.data.get("paths") or ()),
            "run_parent": str(run_parent),
            "mark": mark,
            "python_path": [str(Path(launch.workdir, path)) for path in paths],
            "environment": {name: environment[name] for name in _FOR_COMPILERS if name in environment},
        }
        yield Inquiry(
            request=request,
            main_address=address,
            port=port,
            port_written=launch.main_port is not None,
            cheap=cheap,
        )


def step_hosts(order: Order) -> tuple[str, ...]:
    """Hosts of the Slurm allocation that the job uses; none outside of one."""
    allocation = order.plan.launch.allocation
    return () if allocation is None else allocated_hosts(order.plan, allocation)


def _rendered(order: Order) -> dict[str, str]:
    """What the plan sets on the first node, as far as it is known before a run folder is."""
    commands = order.bundle.nodes or order.bundle.commands
    return {name: value for name, value in commands[0].env.items() if "\0" not in value}


@contextmanager
def _mark(run_parent: Path) -> Iterator[str | None]:
    """An empty file where runs lie, or will; None where nothing can be written."""
    folder = next((each for each in (run_parent, *run_parent.parents) if each.is_dir()), None)
    try:
        file = tempfile.NamedTemporaryFile(prefix=".batchwright-", dir=folder)  # noqa: SIM115 - closed below
    except OSError:
        yield None
        return
    try:
        yield file.name
    finally:
        with suppress(OSError):
            file.close()
