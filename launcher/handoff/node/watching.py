"""The watch over the steps of a job on several nodes: each node reads its ranks' beats, the main node decides."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Mapping
from typing import Any

from launcher.handoff.guard.guarding import Guard
from launcher.handoff.guard.local_ranks import ANSWER_SECONDS, LocalRanks
from launcher.handoff.node.control import Control
from launcher.handoff.node.orders import NodeOrder
from launcher.handoff.running.attending import Attendant

__all__ = ["MainWatch", "MemberWatch", "watch_over"]

_EVERY = 1.0  # seconds between looks
_TRAVEL = 2.0  # seconds for answers to come from other nodes


def watch_over(
    order: NodeOrder, control: Control, *, ranks: Collection[int], say: Callable[[str], None]
) -> Attendant:
    """This node's part of the watch."""
    here = LocalRanks(order.run, workdir=order.workdir, ranks=ranks)
    if not control.is_main:
        return MemberWatch(here, control)
    wait = ANSWER_SECONDS + (_TRAVEL if order.num_nodes > 1 else 0.0)
    guard = Guard(order.plan, say=say, folder=str(order.run), answer_seconds=wait)
    return MainWatch(guard, here, control, per_node=order.plan.layout.devices_per_node)


class _Watch(ABC):
    """Looks once a second."""

    def __init__(
        self, here: LocalRanks, control: Control, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._here, self._control, self._clock = here, control, clock
        self._looked = clock()

    def files(self) -> Collection[int]:
        """None: what other nodes say comes through the control channel."""
        return ()

    def attend(self, *, ending: bool) -> bool:
        """Never ends this node by itself: the order comes from the main node, to all at once."""
        now = self._clock()
        if now - self._looked >= _EVERY:
            self._looked = now
            if ending:
                self._here.wake()
            else:
                self.look()
        return False

    @abstractmethod
    def look(self) -> None:
        """Once a second while the job runs."""


class MemberWatch(_Watch):
    """Sends what its ranks say, and asks them when it is told to."""

    def __init__(
        self, here: LocalRanks, control: Control, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        super().__init__(here, control, clock=clock)
        self._sent: dict[str, list[dict[str, Any]]] = {}
        control.on("ask", self._ask)

    def look(self) -> None:
        self._send("beats", self._here.beats())
        self._send("answers", self._here.answers())

    def _ask(self, _node: int, _message: Mapping[str, Any]) -> None:
        self._sent.clear()
        self._here.ask()

    def _send(self, kind: str, facts: list[dict[str, Any]]) -> None:
        if facts and self._sent.get(kind) != facts:
            self._sent[kind] = facts
            self._control.send({"kind": kind, kind: facts})


class MainWatch(_Watch):
    """Feeds the guard, and has the job ended when the guard says so."""

    def __init__(
        self,
        guard: Guard,
        here: LocalRanks,
        control: Control,
        *,
        per_node: int,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(here, control, clock=clock)
        self._guard, self._per_node = guard, per_node
        control.on("beats", lambda _node, message: guard.see(message["beats"]))
        control.on("answers", lambda _node, message: guard.hear(message["answers"]))

    def look(self) -> None:
        self._guard.see(self._here.beats())
        was_asking = self._guard.asks
        if was_asking:
            self._guard.hear(self._here.answers())
        reason = self._guard.decide()
        if self._guard.asks and not was_asking:
            self._here.ask()
            self._control.send({"kind": "ask"})
        if reason is not None:
            late = self._guard.late.rank if self._guard.late is not None else None
            cause = None if late is None else late // self._per_node
            self._control.order_end(reason, cause=cause, rank=late)
