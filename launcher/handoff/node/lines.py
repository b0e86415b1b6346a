"""A connection between two nodes: one JSON object a line, never waited for, and noticed when it breaks."""

from __future__ import annotations

import errno
import json
import os
import socket
import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import Any

__all__ = ["SILENCE_SECONDS", "Line", "finish"]

SILENCE_SECONDS = 14
"""After which the kernel gives a silent peer up, in seconds: a host without power or network says no goodbye."""

_PROBE_SECONDS = 2
_GOODBYE = 2.0  # seconds
_LOOK = 0.01
_LONGEST = 1 << 20  # bytes; a longer line is no node of ours


class Line:
    """One end of a connection. Messages go out as far as the kernel takes them; the rest follows with flush()."""

    def __init__(self, connection: socket.socket) -> None:
        connection.setblocking(False)
        _keep_alive(connection)
        self.peer = str(connection.getpeername()[0]).removeprefix("::ffff:")
        self.local = str(connection.getsockname()[0]).removeprefix("::ffff:")
        self.lost: str | None = None
        """Why nothing comes any more; None while it may."""
        self._connection = connection
        self._in = bytearray()
        self._out = bytearray()

    def fileno(self) -> int:
        """Descriptor to wait on."""
        return self._connection.fileno()

    def send(self, message: Mapping[str, Any]) -> None:
        """One message, now or with a later flush()."""
        self._out += json.dumps(message, separators=(",", ":")).encode() + b"\n"
        self.flush()

    def flush(self) -> bool:
        """Hands on what is left; True when nothing is."""
        while self._out and self.lost is None:
            try:
                sent = self._connection.send(self._out)
            except BlockingIOError:
                break
            except OSError as error:
                self._lose(error)
            else:
                del self._out[:sent]
        return not self._out

    def receive(self) -> list[dict[str, Any]]:
        """The messages that have come; afterwards `lost` says whether more can."""
        self.flush()
        while self.lost is None:
            try:
                data = self._connection.recv(1 << 16)
            except BlockingIOError:
                break
            except OSError as error:
                self._lose(error)
                break
            if not data:
                self.lost = "it closed the connection"
            self._in += data
            if len(self._in) > _LONGEST and b"\n" not in self._in:
                self.lost = "it does not speak as a node of a job"
        return self._messages()

    def hang_up(self) -> None:
        """Says that nothing more is sent; the other side may still do so."""
        with suppress(OSError):
            self._connection.shutdown(socket.SHUT_WR)

    def close(self) -> None:
        """Ends the connection at once; see finish() for last words."""
        self._connection.close()
        self.lost = self.lost or "closed"

    def _messages(self) -> list[dict[str, Any]]:
        *whole, rest = bytes(self._in).split(b"\n")
        self._in = bytearray(rest)
        found = []
        for text in whole:
            try:
                message = json.loads(text)
            except ValueError:
                message = None
            if not isinstance(message, dict) or not isinstance(message.get("kind"), str):
                self.lost = "it does not speak as a node of a job"
                break
            found.append(message)
        return found

    def _lose(self, error: OSError) -> None:
        if error.errno == errno.ETIMEDOUT:
            self.lost = f"no answer for {SILENCE_SECONDS} s"
        elif error.errno == errno.ECONNRESET:
            self.lost = "the connection was reset"
        else:
            self.lost = os.strerror(error.errno) if error.errno else str(error)


def finish(lines: Iterable[Line], *, seconds: float = _GOODBYE) -> None:
    """Ends connections once what was sent has been read and the other side has hung up too, at most after some seconds.

    A socket that is closed with something unread makes the kernel throw away what the other side has not read yet.
    """
    waiting = [line for line in lines if line.lost is None]
    deadline = time.monotonic() + seconds
    said: set[int] = set()
    while waiting and time.monotonic() < deadline:
        for line in waiting:
            line.receive()
            if line.flush() and line.lost is None and line.fileno() not in said:
                said.add(line.fileno())
                line.hang_up()
        waiting = [line for line in waiting if line.lost is None]
        time.sleep(_LOOK)
    for line in lines:
        line.close()


def _keep_alive(connection: socket.socket) -> None:
    """Lets the kernel ask the peer's kernel every other second, and count as lost who does not answer.

    In the kernel and not in our loop: a node program that waits for a terminal (Ctrl-S) is not a lost host.
    Source: tcp(7), TCP_KEEPIDLE, TCP_KEEPINTVL, TCP_USER_TIMEOUT.
    """
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option, value in (
        (socket.TCP_KEEPIDLE, _PROBE_SECONDS),
        (socket.TCP_KEEPINTVL, _PROBE_SECONDS),
        (socket.TCP_KEEPCNT, SILENCE_SECONDS // _PROBE_SECONDS - 1),
        (socket.TCP_USER_TIMEOUT, SILENCE_SECONDS * 1000),
        (socket.TCP_NODELAY, 1),
    ):
        connection.setsockopt(socket.IPPROTO_TCP, option, value)
