"""The main node's side of the meeting: it listens on the port that the engine will use, until all nodes are there.

That the port is free, and that every node reaches it, is thereby proven. The listening socket is closed before the
engine starts; the connections that were accepted stay open and do not keep anybody from listening there again.
"""

from __future__ import annotations

import os
import selectors
import socket
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from launcher.errors import Problem
from launcher.handoff.node.hello import Hello, differences, read_hello
from launcher.handoff.node.lines import Line, finish
from launcher.handoff.node.orders import NodeOrder
from launcher.handoff.node.refusal import Asked, Refusal, joined, raise_if_asked, refusal

__all__ = ["Meeting", "hold_meeting"]

_LOOK = 0.25  # seconds
_OTHERS = 2.0  # seconds for the others to come and be told, once it is clear that nothing will be started


@dataclass(slots=True)
class Meeting:
    """Who is there."""

    own: Hello
    lines: dict[int, Line] = field(default_factory=dict)
    hellos: dict[int, Hello] = field(default_factory=dict)
    behind: dict[int, float] = field(default_factory=dict)
    """Seconds that a node's clock is behind ours."""
    problems: list[Problem] = field(default_factory=list)
    strangers: list[str] = field(default_factory=list)
    unknown: list[Line] = field(default_factory=list)
    claim: socket.socket | None = None
    """Keeps the port from other jobs of ours as long as it is open."""


def hold_meeting(
    order: NodeOrder,
    own: Hello,
    *,
    check: Callable[[Hello], Sequence[Problem]],
    wake: int,
    clock: Callable[[], float] = time.time,
) -> Meeting:
    """All nodes of the job, after they were told to go.

    check: what keeps one node from taking part. Raises Refusal with everything that was found, after the nodes that
    came were told, and Asked when somebody asks to end.
    """
    meeting = Meeting(own=own, problems=list(check(own)))
    deadline = time.monotonic() + order.plan.launch.handshake_seconds
    try:
        meeting.claim = _claim(order, own)
        with _listen(order, own) as door, selectors.DefaultSelector() as selector:
            selector.register(door, selectors.EVENT_READ)
            selector.register(wake, selectors.EVENT_READ)
            while len(meeting.hellos) < order.num_nodes - 1 and time.monotonic() < deadline:
                selector.select(_LOOK)
                raise_if_asked(wake)
                _accept(door, meeting, selector)
                for line in list(meeting.unknown):
                    _hear(line, order, meeting, check=check, clock=clock)
                    if line not in meeting.unknown:
                        selector.unregister(line)
                _notice_departures(meeting)
                if meeting.problems:
                    deadline = min(deadline, time.monotonic() + _OTHERS)
        if not meeting.problems:
            _note_absent(order, meeting)
    except Asked as asked:
        _let_go(meeting)
        _dismiss(meeting, {"kind": "asked", "by": own.name, "number": asked.number})
        raise
    except Refusal as error:
        meeting.problems.extend(error.problems)
    if meeting.problems:
        _let_go(meeting)
        _dismiss(meeting, {"kind": "refused", "words": joined(meeting.problems)})
        raise Refusal(meeting.problems)
    for line in meeting.lines.values():
        line.send({"kind": "go"})
    return meeting


def _claim(order: NodeOrder, own: Hello) -> socket.socket:
    """The port, among jobs of ours on this host: until the engine listens, seconds after we stop, it looks free.

    An abstract address: it is gone with this process, and another network namespace has its own. Source: unix(7).
    """
    claim = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        claim.bind(f"\0batchwright-port-{order.main_port}")
    except OSError:
        claim.close()
        raise _port_in_use(order, own, "another job of batchwright has it") from None
    return claim


def _let_go(meeting: Meeting) -> None:
    if meeting.claim is not None:
        meeting.claim.close()


def _port_in_use(order: NodeOrder, own: Hello, reason: str) -> Refusal:
    return refusal(
        "port-in-use",
        f"port {order.main_port} of {own.name}, the main node, cannot be listened on: {reason}",
        path="launch.network.port",
        hint="is another job running there? drop launch.network.port, or write another one",
    )


def _listen(order: NodeOrder, own: Hello) -> socket.socket:
    """On every address of this host, of both families where it has them."""
    both = socket.has_dualstack_ipv6()
    family = socket.AF_INET6 if both else socket.AF_INET
    try:
        door = socket.create_server(("", order.main_port), family=family, backlog=1024, dualstack_ipv6=both)
    except OSError as error:
        raise _port_in_use(order, own, os.strerror(error.errno or 0)) from None
    door.setblocking(False)
    return door


def _accept(door: socket.socket, meeting: Meeting, selector: selectors.BaseSelector) -> None:
    while True:
        try:
            connection, _ = door.accept()
        except OSError:
            return
        try:
            line = Line(connection)
        except OSError:  # gone before it was looked at
            connection.close()
            continue
        meeting.unknown.append(line)
        selector.register(line, selectors.EVENT_READ)


def _hear(
    line: Line,
    order: NodeOrder,
    meeting: Meeting,
    *,
    check: Callable[[Hello], Sequence[Problem]],
    clock: Callable[[], float],
) -> None:
    """The first words of somebody who connected."""
    messages = line.receive()
    if not messages and line.lost is None:
        return
    meeting.unknown.remove(line)
    hello = read_hello(messages[0]) if messages else None
    if hello is None or hello.launch != meeting.own.launch:
        _turn_away(line, hello, meeting)
        return
    found = _placing(hello, order, meeting)
    if not found:
        meeting.lines[hello.node], meeting.hellos[hello.node] = line, hello
        line.send({"kind": "welcome"})
        meeting.behind[hello.node] = clock() - hello.time
        found = (*differences(meeting.own, hello, engine=order.plan.launch.engine), *check(hello))
    else:
        meeting.lines[-1 - len(meeting.lines)] = line  # to be told
    meeting.problems.extend(found)


def _turn_away(line: Line, hello: Hello | None, meeting: Meeting) -> None:
    """Somebody who is not of this launch: a port scanner, or a node of another job."""
    if hello is None:
        meeting.strangers.append(f"somebody from {line.peer} knocked who is no node of a job")
    else:
        meeting.strangers.append(f"{hello.host} knocked as node {hello.node} of another launch")
        line.send({"kind": "stranger", "by": meeting.own.name})
    line.close()


def _placing(hello: Hello, order: NodeOrder, meeting: Meeting) -> tuple[Problem, ...]:
    """A number that the job does not have, or that is taken."""
    taken = {0: meeting.own, **meeting.hellos}.get(hello.node)
    if taken is not None:
        message = f"{taken.host} and {hello.host} both say that they are node {hello.node}"
    elif not 0 < hello.node < order.num_nodes:
        message = (
            f"{hello.host} says that it is node {hello.node}; the job has nodes 0 to {order.num_nodes - 1}"
        )
    else:
        return ()
    return (Problem(code="node-number", message=message, hint="start one node program on each host"),)


def _notice_departures(meeting: Meeting) -> None:
    """A node that came and went: its own words are on its own error output."""
    for node, line in meeting.lines.items():
        if node > 0 and not line.receive() and line.lost is not None and not meeting.problems:
            meeting.problems.append(
                Problem(
                    code="host-lost",
                    message=f"{meeting.hellos[node].name} went away before the job was started: {line.lost}",
                    hint="see what it printed",
                )
            )


def _note_absent(order: NodeOrder, meeting: Meeting) -> None:
    absent = [node for node in range(1, order.num_nodes) if node not in meeting.hellos]
    if not absent:
        return
    names = [order.name(node) for node in absent]
    shown = ", ".join(names[:8]) + (f" and {len(names) - 8} more" if len(names) > 8 else "")
    present = ", ".join(hello.name for hello in (meeting.own, *list(meeting.hellos.values())[:8]))
    meeting.problems.append(
        Problem(
            code="nodes-absent",
            path="launch.timeouts.handshake",
            message=f"{shown} did not come within {order.plan.launch.handshake_seconds:g} s",
            because=(f"there: {present}", *meeting.strangers[:8]),
            hint=f"can they reach {order.main_address or meeting.own.host} on port {order.main_port}? "
            "batchwright doctor tells",
        )
    )


def _dismiss(meeting: Meeting, message: dict[str, object]) -> None:
    """Last words to everybody who came."""
    lines = [*meeting.lines.values(), *meeting.unknown]
    for line in lines:
        line.send(message)
    finish(lines)
