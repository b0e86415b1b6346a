"""What a node is to do: read from the run folder that was written for it, and from what its scheduler says."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from launcher.errors import HandoffError, Problem
from launcher.handoff.files import write_atomically
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

    @property
    def num_nodes(self) -> int:
        """Nodes of the job."""
        return self.plan.layout.num_nodes

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
        places = _places(bundle, plan, environ)
        return NodeOrder(
            run=run,
            node=node,
            plan=plan,
            argv=tuple(_fill(word, places) for word in nodes[node]["argv"]),
            env={name: _fill(text, places) for name, text in nodes[node]["env"].items()},
            workdir=str(environ.get("BATCHWRIGHT_WORKDIR") or bundle["workdir"]),
            hosts=_hosts(nodes, environ),
            main_address=places["main-address"],
            main_port=int(places["main-port"] or 0),
            files=tuple(name for name in bundle["files"] if name != "plan.json"),
            launch=str(launch.get("id") or environ.get("SLURM_JOB_ID") or ""),
            caller={str(name): str(text) for name, text in (launch.get("environment") or {}).items()},
            secrets=secrets,
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        if isinstance(error, HandoffError):
            raise
        raise _unreadable(run, f"{type(error).__name__}: {error}") from None


def fill_files(order: NodeOrder) -> None:
    """Puts the main node's address into the rendered files that could not name it; every node writes the same text."""
    for name in order.files:
        path = order.run / name
        text = path.read_text(encoding="utf-8", errors="surrogateescape")
        filled = text.replace("\\u0000main-address\\u0000", json.dumps(order.main_address)[1:-1])
        filled = filled.replace('"\\u0000main-port\\u0000"', str(order.main_port))
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


def _places(bundle: Mapping[str, Any], plan: RunPlan, environ: Mapping[str, str]) -> dict[str, str]:
    """Values of the placeholders that only the job knows: its own variables first, then the launcher's words."""
    address = environ.get("BATCHWRIGHT_MAIN_ADDRESS") or bundle.get("main_address") or ""
    port = environ.get("BATCHWRIGHT_MAIN_PORT") or bundle.get("main_port") or plan.launch.main_port or ""
    return {"main-address": str(address).strip("\0"), "main-port": str(port)}


def _fill(text: str, places: Mapping[str, str]) -> str:
    for name, value in places.items():
        text = text.replace(f"\0{name}\0", value)
    return text


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
