"""What a node is to do: read from the run folder that was written for it, and from what its scheduler says."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from launcher.errors import HandoffError, Problem
from launcher.handoff.files import write_atomically
from launcher.spec.bundle import LaunchBundle, NodeCommand
from launcher.spec.plain import from_plain
from launcher.spec.plan import RunPlan

__all__ = ["NodeOrder", "fill_files", "node_number", "read_order"]

_NUMBERS = ("SLURM_NODEID", "JOB_COMPLETION_INDEX")


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeOrder:
    """One node's part of a job."""

    run: Path
    node: int
    plan: RunPlan
    argv: tuple[str, ...]
    env: Mapping[str, str]
    """What the plan sets."""
    workdir: str
    hosts: tuple[str, ...]
    """Names by node number, as far as they are known."""
    main_address: str
    main_port: int
    files: tuple[str, ...] = ()
    """Names of the rendered files in the run folder."""
    launch: str = ""
    """One launch's own word; empty where nobody gave one."""
    caller: Mapping[str, str] = field(default_factory=dict)
    """Variables that the caller's shell hands on."""
    secrets: Mapping[str, str] = field(default_factory=dict, repr=False)
    leashed: bool = False
    """Whether standard input lasts as long as whoever started this."""

    @property
    def num_nodes(self) -> int:
        """Nodes of the job."""
        return self.plan.layout.num_nodes

    @property
    def ranks(self) -> range:
        """Ranks of this node."""
        per_node = self.plan.layout.devices_per_node
        return range(self.node * per_node, (self.node + 1) * per_node)

    def name(self, node: int) -> str:
        """`node-b (node 1)`, or `node 1` where nobody named it."""
        host = self.hosts[node] if node < len(self.hosts) else ""
        return f"{host} (node {node})" if host else f"node {node}"


def node_number(option: int | None, environ: Mapping[str, str]) -> int:
    """This node's number: as asked, else as the scheduler says. Raises HandoffError[node-number]."""
    if option is not None:
        return option
    for name in _NUMBERS:
        if (text := environ.get(name, "")).isdecimal():
            return int(text)
    raise _wrong(
        "node-number",
        "nobody says which node of the job this is",
        f"neither --node nor {' nor '.join(_NUMBERS)} is set",
        hint="start the job by its rendered command",
    )


def read_order(run: Path, *, node: int, environ: Mapping[str, str]) -> NodeOrder:
    """The order of one node; its file of secrets is gone afterwards. Raises HandoffError."""
    secrets = _secrets(run, node)
    bundle = _read(run, "bundle.json")
    try:
        plan = from_plain(RunPlan, _read(run, "plan.json"))
        nodes = bundle["nodes"] or bundle["commands"]
        if not 0 <= node < len(nodes):
            raise _wrong(
                "node-number",
                f"this is node {node}, and the job has nodes 0 to {len(nodes) - 1}",
                hint="start as many nodes as the plan has",
            )
        launch = _read(run, "launch.json") if (run / "launch.json").exists() else {}
        address, port = _main(bundle, plan, environ)
        part = NodeCommand(
            node_rank=node, host="", argv=tuple(nodes[node]["argv"]), env=dict(nodes[node]["env"])
        )
        (part,) = _placed(run, address, port, commands=(part,)).commands
        return NodeOrder(
            run=run,
            node=node,
            plan=plan,
            argv=part.argv,
            env=part.env,
            workdir=str(environ.get("BATCHWRIGHT_WORKDIR") or bundle["workdir"]),
            hosts=_hosts(nodes, environ),
            main_address=address,
            main_port=port,
            files=tuple(name for name in bundle["files"] if name != "plan.json"),
            launch=str(launch.get("id") or environ.get("SLURM_JOB_ID") or ""),
            caller={str(name): str(text) for name, text in (launch.get("environment") or {}).items()},
            secrets=secrets,
            leashed="SSH_CONNECTION" in environ and "SLURM_JOB_ID" not in environ,
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        if isinstance(error, HandoffError):
            raise
        raise _unreadable(run, f"{type(error).__name__}: {error}") from None


def fill_files(order: NodeOrder) -> None:
    """Puts the main node's place into the rendered files that could not name it; every node writes the same text."""
    for name in order.files:
        path = order.run / name
        text = path.read_text(encoding="utf-8", errors="surrogateescape")
        filled = _placed(order.run, order.main_address, order.main_port, files={name: text}).files[name]
        if filled != text:
            write_atomically(path, filled)


def _secrets(run: Path, node: int) -> dict[str, str]:
    """Values of pass_env for this node; the file is unlinked before anything else can go wrong."""
    path = run / f"secrets.{node}.json"
    try:
        text = path.read_text(encoding="utf-8", errors="surrogateescape")
        path.unlink()
        return {str(name): str(value) for name, value in json.loads(text).items()}
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, AttributeError) as error:
        raise _unreadable(run, f"{path.name}: {type(error).__name__}") from None


def _read(run: Path, name: str) -> dict[str, Any]:
    try:
        data = json.loads((run / name).read_text(encoding="utf-8", errors="surrogateescape"))
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "no JSON"
        raise _unreadable(run, f"{name}: {reason}") from None
    if not isinstance(data, dict):
        raise _unreadable(run, f"{name}: no object")
    return data


def _main(bundle: Mapping[str, Any], plan: RunPlan, environ: Mapping[str, str]) -> tuple[str, int]:
    """Address and port of the main node: the job's own variables first, then what was known when it was launched."""
    address = environ.get("BATCHWRIGHT_MAIN_ADDRESS") or bundle.get("main_address") or ""
    port = environ.get("BATCHWRIGHT_MAIN_PORT") or bundle.get("main_port") or plan.launch.main_port or 0
    return str(address), int(port)


def _placed(run: Path, address: str, port: int, **parts: Any) -> LaunchBundle:
    """Files or commands with what only the node knows."""
    bundle = LaunchBundle(**{"files": {}, "commands": (), **parts})
    return bundle.placed(str(run), main_port=port, python=sys.executable, main_address=address)


def _hosts(nodes: Any, environ: Mapping[str, str]) -> tuple[str, ...]:
    """Hosts as the job's own variables name them, else as planned; a placeholder is nobody's name."""
    if named := environ.get("BATCHWRIGHT_HOSTS"):
        return tuple(named.replace(",", " ").split())
    return tuple("" if "\0" in each["host"] else str(each["host"]) for each in nodes)


def _unreadable(run: Path, reason: str) -> HandoffError:
    return _wrong(
        "node-papers",
        f"`{run}` is not the folder of a run on this node",
        reason,
        hint="share the folder between the nodes, or let batchwright copy it",
    )


def _wrong(code: str, message: str, *because: str, hint: str) -> HandoffError:
    return HandoffError([Problem(code=code, message=message, because=because, hint=hint)])
