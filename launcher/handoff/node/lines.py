"""A connection between two nodes: one JSON object a line, never waited for, and noticed when it breaks."""

from __future__ import annotations

import errno
import json
import os
import socket
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

__all__ = ["SILENCE_SECONDS", "Line", "keep_alive"]

SILENCE_SECONDS = 14
"""After which the kernel gives a silent peer up, in seconds: a host without power or network says no goodbye."""

_PROBE_SECONDS = 2
_LONGEST = 1 << 20  # bytes; a longer line is no node of ours


def keep_alive(connection: socket.socket) -> None:
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


class Line:
    """One end of a connection. Messages go out as far as the kernel takes them; the rest follows with flush()."""

    def __init__(self, connection: socket.socket) -> None:
        connection.setblocking(False)
        keep_alive(connection)
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

    def finish(self, seconds: float = 2.0) -> None:
        """Ends the connection once the other side has read all of it and has hung up, or after some seconds."""
        if self.lost is None:
            with suppress(OSError):
                self._connection.shutdown(socket.SHUT_WR)
                self._connection.settimeout(seconds)
                while self._connection.recv(1 << 16):  # unread data would make the kernel throw ours away
                    pass
        self.close()

    def close(self) -> None:
        """Ends the connection at once."""
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
