"""The connections between the nodes while the job runs: one failure ends all, and nobody is waited for who is gone.

Messages: `ending` (a node's part is about to end, and why), `ended` (it has), `end` (the main node to all: end
yours), `verdict` (the main node to all, last: exit code and words). Others are for whoever asked with on().
"""

from __future__ import annotations

import socket
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any

from launcher.handoff.node.lines import Line, finish
from launcher.handoff.node.node_end import NodeEnd, first_cause, read_end

__all__ = ["Control", "MainControl", "MemberControl", "Verdict"]

Message = Mapping[str, Any]
Heard = Callable[[int, Message], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """How the whole job ended, the same on every node."""

    exit: int
    words: str
    cause: int | None = None
    """Number of the node that brought it about."""
    rank: int | None = None
    """Its rank that did, where it was one."""


class Control(ABC):
    """What both sides share: an attendant of run_job, and a place for others to send and hear messages."""

    def __init__(
        self, *, node: int, say: Callable[[str], None], clock: Callable[[], float] = time.time
    ) -> None:
        self.node = node
        self._say, self._said = say, ""
        self.told_at: float | None = None
        """When this node learned that it is to end though nothing failed here; seconds since the epoch."""
        self.ending_at: float | None = None
        """When its command began to end: it failed, somebody asked, or this node was told."""
        self.lines: dict[int, Line] = {}
        self.ends: dict[int, NodeEnd] = {}
        """How other nodes ended; known on the main node."""
        self.main_is_lost = False
        self._heard: dict[str, Heard] = {}
        self._clock = clock

    @property
    def is_main(self) -> bool:
        """Whether decisions are taken here."""
        return self.node == 0

    def on(self, kind: str, heard: Heard) -> None:
        """Calls `heard` with (node number, message) for each message of that kind."""
        self._heard[kind] = heard

    def send(self, message: Message) -> None:
        """To the main node; from the main node to all others. A connection that is lost takes nothing."""
        for line in self.lines.values():
            line.send(message)

    def files(self) -> Collection[int]:
        """Descriptors of the connections that stand."""
        return [line.fileno() for line in self.lines.values() if line.lost is None]

    def attend(self, *, ending: bool) -> bool:
        """Hears what has come; True once this node is to end."""
        if ending and self.ending_at is None:
            self.ending_at = self._clock()
            self.about_to_end()
        for node, line in list(self.lines.items()):
            before = line.lost
            for message in line.receive():
                self.hear(node, message)
            if line.lost is not None and before is None:
                self.lose(node, line.lost)
        return self.told_at is not None

    @abstractmethod
    def about_to_end(self) -> None:
        """The job is ending here."""

    def hear(self, node: int, message: Message) -> None:
        """One message."""
        if heard := self._heard.get(message["kind"]):
            heard(node, message)

    @abstractmethod
    def lose(self, node: int, why: str) -> None:
        """A connection ended."""

    @abstractmethod
    def order_end(
        self, words: str, *, code: int = 1, cause: int | None = None, rank: int | None = None
    ) -> None:
        """Ends the job, with these words and this exit code. cause, rank: node and rank that they tell of."""

    @abstractmethod
    def close(self, verdict: Verdict) -> None:
        """Ends the connections."""

    def announce(self, words: str) -> None:
        """Says why the job ends, once: what the ranks print about that comes after it."""
        if words and words != self._said:
            self._said = words
            self._say(words)

    def tell_to_end(self) -> None:
        """This node is to end."""
        if self.told_at is None:
            self.told_at = self._clock()


class MainControl(Control):
    """The main node's side: it knows how every node ends."""

    def __init__(
        self,
        *,
        lines: Mapping[int, Line],
        hosts: Mapping[int, str],
        behind: Mapping[int, float],
        say: Callable[[str], None],
        claim: socket.socket | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        super().__init__(node=0, say=say, clock=clock)
        self._claim = claim
        self.lines = dict(lines)
        self._hosts, self._behind = dict(hosts), dict(behind)
        self._started = clock()
        self._ending_said = False
        self._ordered: Verdict | None = None

    @property
    def missing(self) -> set[int]:
        """Other nodes whose end is not known yet."""
        return set(self.lines) - set(self.ends)

    def order_end(
        self, words: str, *, code: int = 1, cause: int | None = None, rank: int | None = None
    ) -> None:
        """Whatever the nodes say of it afterwards."""
        if self._ordered is None:
            self._ordered = Verdict(exit=code, words=words, cause=cause, rank=rank)
            self.announce(words)
            self._end_all()
            self.tell_to_end()

    def about_to_end(self) -> None:
        """Whatever ends here ends everywhere, unless this node's part is done."""
        self._end_all()

    def hear(self, node: int, message: Message) -> None:
        """Reports of the other nodes."""
        if message["kind"] == "ending":
            self._end_all()
            self.tell_to_end()
        elif message["kind"] == "ended":
            self.ends[node] = read_end(message, node=node, behind=self._behind.get(node, 0.0))
            if self.ends[node].exit:
                self._end_all()
                self.tell_to_end()
        elif message["kind"] == "end":
            about = {name: message.get(name) for name in ("cause", "rank")}
            self.order_end(str(message.get("message")), code=int(message.get("exit") or 1), **about)
        else:
            super().hear(node, message)

    def lose(self, node: int, why: str) -> None:
        """A node that is gone without having said how its part ended."""
        if node in self.ends:
            return
        now = self._clock()
        self.ends[node] = NodeEnd(
            node=node,
            host=self._hosts.get(node, f"node {node}"),
            exit=1,
            error=_lost(why, now - self._started),
            time=now,
            lost=True,
        )
        self.announce(self.ends[node].words)
        self._end_all()
        self.tell_to_end()

    def verdict(self, own: NodeEnd) -> Verdict:
        """From all ends."""
        cause = first_cause([own, *self.ends.values()])
        if self._ordered is not None and not (cause and cause.lost):
            return self._ordered
        if cause is None:
            return Verdict(exit=0, words="")
        return Verdict(exit=cause.exit, words=cause.words, cause=cause.node, rank=cause.rank)

    def close(self, verdict: Verdict) -> None:
        """Tells everybody how the job ended."""
        self.send({"kind": "verdict", "exit": verdict.exit, "words": verdict.words, "cause": verdict.cause})
        finish(self.lines.values())
        if self._claim is not None:
            self._claim.close()

    def _end_all(self) -> None:
        if not self._ending_said:
            self._ending_said = True
            self.send({"kind": "end"})


class MemberControl(Control):
    """Another node's side: it has only the main node to talk to."""

    def __init__(
        self,
        *,
        node: int,
        line: Line,
        main: str,
        say: Callable[[str], None],
        clock: Callable[[], float] = time.time,
    ) -> None:
        super().__init__(node=node, say=say, clock=clock)
        self.lines = {0: line}
        self.verdict: Verdict | None = None
        self._main = main
        self._started = clock()

    def order_end(
        self, words: str, *, code: int = 1, cause: int | None = None, rank: int | None = None
    ) -> None:
        """Asks the main node to end the job with these words."""
        self.send({"kind": "end", "message": words, "exit": code, "cause": cause, "rank": rank})
        self.tell_to_end()

    def about_to_end(self) -> None:
        """Tells the main node early: the others need not wait until everything has ended here."""
        if self.told_at is None:
            self.send({"kind": "ending"})

    def hear(self, node: int, message: Message) -> None:
        """What the main node says."""
        if message["kind"] == "end":
            self.tell_to_end()
        elif message["kind"] == "verdict":
            self.verdict = Verdict(
                exit=int(message["exit"]), words=str(message["words"]), cause=message.get("cause")
            )
        else:
            super().hear(node, message)

    def lose(self, node: int, why: str) -> None:
        """Without the main node nobody would learn of anything any more."""
        if self.verdict is None:
            lost = _lost(why, self._clock() - self._started)
            words = f"{self._main} (node {node}, the main node) is gone: {lost}"
            self.verdict = Verdict(exit=1, words=words, cause=node)
            self.main_is_lost = True
            self.announce(words)
        self.tell_to_end()

    def close(self, verdict: Verdict) -> None:  # noqa: ARG002 - the main node knows it already
        """Hangs up."""
        self.lines[0].close()


def _lost(why: str, seconds: float) -> str:
    return f"connection lost after {seconds:.0f} s ({why})"
