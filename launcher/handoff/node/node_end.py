"""How each node's part of the job ended, and which of these ends was the first cause. Pure."""

from __future__ import annotations

import signal
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from launcher.handoff.outcome import KILLED

__all__ = ["NodeEnd", "first_cause", "read_end"]

_LOST, _KILLED, _OTHER = range(3)


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeEnd:
    """One node's end."""

    node: int
    host: str
    exit: int
    """0, or the code of the rank that failed first there, 128+N for signal N."""
    rank: int | None = None
    """That rank."""
    error: str = ""
    """In its words."""
    time: float = 0.0
    """When it failed, by this node's clock; when it ended where nothing did. Seconds since the epoch."""
    asked: bool = False
    """Whether the node program was asked to end, by a signal."""
    lost: bool = False
    """Whether the node is gone."""
    told: bool = False
    """Whether it was told to end, so that it is not the cause of anything."""

    def to_message(self) -> dict[str, Any]:
        """As it travels."""
        return {
            "kind": "ended",
            **{
                name: getattr(self, name)
                for name in ("node", "host", "exit", "rank", "error", "time", "asked", "told")
            },
        }

    @property
    def words(self) -> str:
        """`rank 1 on node-b (node 1) ended with exit code 17: ValueError: no`, one line."""
        where = f"{self.host} (node {self.node})"
        if self.lost:
            return f"{where} is gone: {self.error}"
        if self.asked:
            return f"{where} was asked to end: {self.error or _signal(self.exit)}"
        lines = self.error.strip().splitlines()
        said = f": {lines[-1] if 'Traceback' in lines[0] else lines[0]}" if lines else ""
        if self.rank is None:
            return f"the command on {where} ended with exit code {self.exit}{said}"
        return f"rank {self.rank} on {where} ended with exit code {self.exit}{said}"


def read_end(message: Mapping[str, Any], *, node: int, behind: float) -> NodeEnd:
    """What another node reports. behind: seconds that its clock is behind ours."""
    rank = message.get("rank")
    return NodeEnd(
        node=node,
        host=str(message.get("host") or f"node {node}"),
        exit=int(message.get("exit") or 0),
        rank=None if rank is None else int(rank),
        error=str(message.get("error") or ""),
        time=float(message.get("time") or 0.0) + behind,
        asked=bool(message.get("asked")),
        told=bool(message.get("told")),
    )


def first_cause(ends: Sequence[NodeEnd]) -> NodeEnd | None:
    """The end that brought the others about; None when all ended well.

    A host that is gone, or a rank that the system ended, is noticed late: the ranks that lost it fail before. All
    else is in the order of time, clocks compared; a node that was told to end is a cause only when there is no other.
    """
    failed = [end for end in ends if end.exit or end.lost]
    if not failed:
        return None
    return min(failed, key=lambda end: (end.told and not end.lost, _kind(end), end.time))


def _kind(end: NodeEnd) -> int:
    if end.lost:
        return _LOST
    return _KILLED if end.exit in KILLED and not end.asked else _OTHER


def _signal(code: int) -> str:
    try:
        return signal.Signals(code - 128).name
    except ValueError:
        return f"signal {code - 128}"
