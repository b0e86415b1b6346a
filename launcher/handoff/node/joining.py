"""The other nodes' side of the meeting: find the main node, say who we are, wait to be told to go."""

from __future__ import annotations

import select
import socket
import threading
import time
from dataclasses import dataclass
from typing import Any

from launcher.handoff.node.hello import Hello
from launcher.handoff.node.lines import Line
from launcher.handoff.node.orders import NodeOrder
from launcher.handoff.node.record import refused_main
from launcher.handoff.node.refusal import REFUSED, Refusal, Told, raise_if_asked, refusal

__all__ = ["join_meeting"]

_AGAIN = 0.5  # seconds between attempts
_ATTEMPT = 3.0  # seconds for one attempt
_WELCOME = 5.0  # seconds for a main node to answer at all: something else may listen there
_ANSWER = 15.0  # seconds beyond the handshake for the main node to have the last word
_LOOPBACK = 5.0  # seconds; somebody on this very host would have answered by then


@dataclass(slots=True)
class _Tried:
    """What became of the last attempt."""

    why: str = "there was no time to try"
    addresses: tuple[str, ...] = ()

    @property
    def is_loopback(self) -> bool:
        return bool(self.addresses) and all(
            address.startswith("127.") or address == "::1" for address in self.addresses
        )


def join_meeting(order: NodeOrder, own: Hello, *, wake: int) -> Line:
    """The connection to the main node, after it said go.

    Raises Refusal when it cannot be reached in time, Told when it ends the meeting, Asked when somebody asks to end.
    """
    started = time.monotonic()
    deadline = started + order.plan.launch.handshake_seconds
    tried = _Tried()
    while True:
        line = _connect(order, tried)
        if line is not None:
            line.send({**own.to_message(), "time": time.time()})
            if _wait_for_go(line, order, wake, deadline + _ANSWER, tried):
                return line
        now = time.monotonic()
        if words := refused_main(order.run, launch=order.launch, now=time.time()):
            if "[nodes-absent]" in words and tried.addresses:  # it waited for us
                raise _unreachable(order, own, tried)
            raise Told(words, exit=REFUSED)
        if tried.is_loopback and now > started + min(_LOOPBACK, order.plan.launch.handshake_seconds / 2):
            raise _loopback(order, own, tried)
        if now > deadline:
            raise _unreachable(order, own, tried)
        _pause(wake, _AGAIN)


def _connect(order: NodeOrder, tried: _Tried) -> Line | None:
    """A connection to the main node; else why not, in tried."""
    found = _resolve(order.main_address, order.main_port)
    if isinstance(found, str):
        tried.why, tried.addresses = found, ()
        return None
    tried.addresses = tuple(dict.fromkeys(str(row[4][0]) for row in found))
    for family, kind, protocol, _, address in found:
        connection = socket.socket(family, kind, protocol)
        connection.settimeout(_ATTEMPT)
        try:
            connection.connect(address)
            if connection.getsockname() == connection.getpeername():  # a port that met itself on this host
                raise ConnectionRefusedError(111, "Connection refused")
            return Line(connection)
        except TimeoutError:
            tried.why = f"{address[0]} does not answer"
        except OSError as error:
            tried.why = f"{address[0]}: {error.strerror or error}"
        connection.close()
    return None


def _resolve(name: str, port: int) -> list[tuple[Any, ...]] | str:
    """What the name stands for, or why that is not known. A resolver that hangs is not waited for."""
    answer: list[list[tuple[Any, ...]] | str] = []

    def ask() -> None:
        try:
            answer.append(socket.getaddrinfo(name, port, type=socket.SOCK_STREAM))
        except OSError as error:
            answer.append(f"the name `{name}` is not known here: {error.strerror or error}")

    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    thread.join(_ATTEMPT)
    return answer[0] if answer else f"looking up the name `{name}` takes longer than {_ATTEMPT:g} s"


def _wait_for_go(line: Line, order: NodeOrder, wake: int, until: float, tried: _Tried) -> bool:
    """True once the main node says so; False when whoever answered was not the main node, or went away."""
    welcome_by = time.monotonic() + _WELCOME
    while time.monotonic() < min(until, welcome_by):
        select.select([line.fileno(), wake], [], [], 1.0)
        raise_if_asked(wake)
        for message in line.receive():
            if message["kind"] == "welcome":
                welcome_by = until
            if message["kind"] == "go":
                return True
            if message["kind"] == "stranger":
                raise refusal(
                    "other-launch",
                    f"port {order.main_port} of {order.main_address} belongs to another launch of {message.get('by')}",
                    hint="has that one ended? batchwright stop ends it",
                )
            if message["kind"] == "refused":
                raise Told(str(message.get("words")), exit=REFUSED)
            if message["kind"] == "asked":
                raise Told(
                    f"{message.get('by')} was asked to end", exit=128 + int(message.get("number") or 0)
                )
        if line.lost is not None:
            break
    tried.why = f"{line.peer} answered and then: {line.lost or 'nothing more'}"
    line.close()
    return False


def _unreachable(order: NodeOrder, own: Hello, tried: _Tried) -> Refusal:
    return refusal(
        "main-unreachable",
        f"{own.name} cannot reach the main node at {order.main_address} port {order.main_port}: {tried.why}",
        f"tried for {order.plan.launch.handshake_seconds:g} s",
        path="launch.network.main_address",
        hint="did the main node start? does a firewall keep the port closed? batchwright doctor tells",
    )


def _loopback(order: NodeOrder, own: Hello, tried: _Tried) -> Refusal:
    return refusal(
        "main-is-loopback",
        f"on {own.name} the main address `{order.main_address}` stands for {tried.addresses[0]}, this host itself",
        path="launch.network.main_address",
        hint=f"write an address that every node reaches into launch.network.main_address, or mend /etc/hosts on "
        f"{own.host}",
    )


def _pause(wake: int, seconds: float) -> None:
    select.select([wake], [], [], seconds)
    raise_if_asked(wake)
