"""What a node says of itself when it meets the others, and what must agree before anything is started. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from launcher.errors import Problem
from launcher.spec.plain import from_plain, to_plain

__all__ = ["Hello", "differences", "read_hello", "too_few_devices"]

PROTOCOL = 1
_ALWAYS = ("python", "torch", "batchwright")
_SOMETIMES = ("deepspeed", "accelerate")


@dataclass(frozen=True, slots=True, kw_only=True)
class Hello:
    """One node's first words."""

    node: int
    host: str
    launch: str
    """Which launch it belongs to; the same for all nodes of one."""
    plan_hash: str
    versions: Mapping[str, str | None]
    """By name; None: not installed."""
    devices: int | None = None
    """Accelerators that a process here may use; None where the plan needs none."""
    time: float = 0.0
    """Its clock, seconds since the epoch."""
    problems: tuple[Problem, ...] = ()
    """Why it cannot start its part."""
    protocol: int = field(default=PROTOCOL)

    @property
    def name(self) -> str:
        """`node-b (node 1)`."""
        return f"{self.host} (node {self.node})"

    def to_message(self) -> dict[str, Any]:
        """As it travels."""
        return {
            "kind": "hello",
            "protocol": self.protocol,
            "node": self.node,
            "host": self.host,
            "launch": self.launch,
            "plan_hash": self.plan_hash,
            "versions": dict(self.versions),
            "devices": self.devices,
            "time": self.time,
            "problems": to_plain(self.problems),
        }


def read_hello(message: Mapping[str, Any]) -> Hello | None:
    """The hello that a message is; None for anything else."""
    if message.get("kind") != "hello":
        return None
    try:
        versions = {str(name): text and str(text) for name, text in message["versions"].items()}
        return Hello(
            node=int(message["node"]),
            host=str(message["host"]),
            launch=str(message["launch"]),
            plan_hash=str(message["plan_hash"]),
            versions=versions,
            devices=None if message["devices"] is None else int(message["devices"]),
            time=float(message["time"]),
            problems=tuple(from_plain(Problem, each) for each in message["problems"]),
            protocol=int(message["protocol"]),
        )
    except (KeyError, TypeError, ValueError, AttributeError, AssertionError):
        return None


def differences(main: Hello, other: Hello, *, engine: str) -> tuple[Problem, ...]:
    """What keeps two nodes out of one job: another plan, or other versions of what they train with.

    engine: its own package must be everywhere; one that only some nodes have, and no engine asks for, is no matter.
    """
    if main.plan_hash != other.plan_hash:
        return (
            _problem(
                f"{other.name} has another plan than {main.name}: {other.plan_hash[:12]}, not {main.plan_hash[:12]}",
                hint="give every node the same run folder",
            ),
        )
    found = [
        _problem(
            f"{other.name} has {_version(name, theirs)}, {main.name} has {_version(name, ours)}",
            hint=f"install the same version of {name} on every node, or name the interpreter: launch.python",
        )
        for name, ours, theirs in _compared(main, other, engine)
        if ours != theirs
    ]
    return tuple(found)


def too_few_devices(hello: Hello, *, devices_per_node: int, device: str) -> tuple[Problem, ...]:
    """A node with fewer devices than the plan puts ranks on it."""
    if hello.devices is None or hello.devices >= devices_per_node:
        return ()
    found = "1 device" if hello.devices == 1 else f"{hello.devices or 'no'} devices"
    return (
        _problem(
            f"{hello.name} has {found}; the plan has {devices_per_node} x {device} on every node",
            hint="free the missing devices, leave the host out, or write cluster.devices_per_node",
        ),
    )


def _compared(main: Hello, other: Hello, engine: str) -> Sequence[tuple[str, str | None, str | None]]:
    rows = []
    for name in (*_ALWAYS, *_SOMETIMES):
        ours, theirs = main.versions.get(name), other.versions.get(name)
        if name == "python":  # 3.11.2 and 3.11.9 read the same code and the same pickles
            ours, theirs = (text and ".".join(text.split(".")[:2]) for text in (ours, theirs))
        if name in _SOMETIMES and name != engine and None in (ours, theirs):
            continue
        rows.append((name, ours, theirs))
    return rows


def _version(name: str, version: str | None) -> str:
    return f"no {name}" if version is None else f"{name} {version}"


def _problem(message: str, *, hint: str) -> Problem:
    return Problem(code="nodes-differ", message=message, hint=hint)
