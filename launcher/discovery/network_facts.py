"""How a host reaches the main node: what names stand for, which interface leads there, and the port itself.

Standard library only, Python 3.8 and later: sent as text to hosts where nothing is installed.
"""

from __future__ import annotations

import array
import errno
import socket
import struct
import time
from pathlib import Path
from typing import Any, Mapping  # noqa: UP035 - Python 3.8

__all__ = ["addresses", "interface_of", "meet", "network", "reaching", "resolved"]

Request = Mapping[str, Any]

_SIOCGIFCONF = 0x8912
"""Source: linux/sockios.h"""
_NO_WAY = (errno.EHOSTUNREACH, errno.ENETUNREACH)
"""Errors that do not go away when the other side comes up."""
_IFREQ_BYTES = 40
"""Source: netdevice(7), struct ifreq on 64-bit Linux."""


def network(request: Request) -> dict[str, Any]:
    """What the main address stands for here, the interface that leads there, and what libraries would take.

    default.gloo, default.nccl: the interface each takes when nobody tells it.
    Source: torch@2.13.0 ProcessGroupGloo.cpp:createDefaultDevice (the one the own name resolves to);
    NVIDIA/nccl@v2.27 src/misc/socket.cc:ncclFindInterfaces (ib*, then neither docker* nor lo).
    """
    own = resolved(socket.gethostname())
    found: dict[str, Any] = {
        "own_name": own[0] if own else None,
        "default": {"gloo": interface_of(own[0]) if own else "lo", "nccl": _nccl_default()},
        "interfaces": addresses(),
    }
    main = request.get("main_address")
    if not main:
        return found
    try:
        there = resolved(str(main), strict=True)
    except OSError as error:
        return {**found, "why": error.strerror or str(error)}
    source, why = reaching(there[0], int(request.get("main_port") or 1))
    return {**found, "main": there[0], "source": source, "interface": interface_of(source or ""), "why": why}


def resolved(name: str, *, strict: bool = False) -> list[str]:
    """Addresses that a name stands for on this host, the one that is tried first in front; strict: raises OSError."""
    try:
        rows = socket.getaddrinfo(name, None, type=socket.SOCK_STREAM)
    except OSError:
        if strict:
            raise
        return []
    return list(dict.fromkeys(str(row[4][0]) for row in rows))


def reaching(address: str, port: int = 1) -> tuple[str | None, str | None]:
    """The own address from which packets to that address start, or why none do; nothing is sent."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect((address, port))
        except OSError as error:
            return None, error.strerror or str(error)
        return str(probe.getsockname()[0]), None


def interface_of(address: str) -> str | None:
    """The interface that holds an address of this host."""
    if address.startswith("127.") or address == "::1":
        return "lo"
    return next((name for name, own in addresses() if own == address.partition("%")[0]), None)


def addresses() -> list[tuple[str, str]]:
    """(interface, address) of all interfaces that are up, IPv4 first."""
    import fcntl

    room = array.array("B", bytes(_IFREQ_BYTES * 128))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        asked = struct.pack("iL", len(room), room.buffer_info()[0])
        used = struct.unpack("iL", fcntl.ioctl(probe.fileno(), _SIOCGIFCONF, asked))[0]
    rows = [room.tobytes()[start : start + _IFREQ_BYTES] for start in range(0, used, _IFREQ_BYTES)]
    found = [(_name(row), socket.inet_ntoa(row[20:24])) for row in rows]
    try:
        lines = Path("/proc/net/if_inet6").read_text().splitlines()
    except OSError:
        lines = []
    six = [line.split() for line in lines]
    return found + [(row[5], socket.inet_ntop(socket.AF_INET6, bytes.fromhex(row[0]))) for row in six]


def _name(row: bytes) -> str:
    """Without the label of a further address (`eth0:1`): libraries know the interface."""
    return row[:16].split(b"\0", 1)[0].decode().partition(":")[0]


def _nccl_default() -> str | None:
    names = list(dict.fromkeys(name for name, _ in addresses()))
    for fits in (
        lambda name: name.startswith("ib"),
        lambda name: not name.startswith(("docker", "lo")),
        lambda name: name.startswith("docker"),
    ):
        chosen = [name for name in names if fits(name)]
        if chosen:
            return chosen[0]
    return names[0] if names else None


def meet(request: Request) -> dict[str, Any]:
    """The port of the main node: node 0 listens until all have come, the others connect. See _listen, _connect."""
    address, port = request.get("main_address"), request.get("main_port")
    if not port:
        return {}
    seconds = float(request.get("meet_seconds") or 0.0)
    token = str(request.get("token") or "batchwright")
    if request.get("node") in (0, None):
        return _listen(int(port), int(request.get("num_nodes") or 1) - 1, token, seconds)
    return _connect(str(address), int(port), int(request["node"]), token, seconds)


def _listen(port: int, expected: int, token: str, seconds: float) -> dict[str, Any]:
    """why: of a port that cannot be listened on. came: numbers of the nodes that came, reached_at: by which address."""
    came: set[int] = set()
    reached: list[str] = []
    deadline = time.monotonic() + seconds
    with socket.socket() as door:
        door.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            door.bind(("", port))
            door.listen(1024)
        except OSError as error:
            return {"listens": False, "why": error.strerror or str(error)}
        while len(came) < expected and time.monotonic() < deadline:
            door.settimeout(max(0.01, deadline - time.monotonic()))
            try:
                guest, _ = door.accept()
            except OSError:
                break
            with guest:
                guest.settimeout(1.0)
                try:
                    words = guest.recv(64).decode(errors="replace").split()
                    guest.sendall(f"{token}\n".encode())
                except OSError:
                    continue
                if len(words) == 2 and words[0] == token and words[1].isdecimal():
                    came.add(int(words[1]))
                    reached.append(str(guest.getsockname()[0]))
    at = list(dict.fromkeys(reached))
    interfaces = [interface_of(address) for address in at]
    return {"listens": True, "came": sorted(came), "reached_at": at, "reached_by": interfaces}


def _connect(address: str, port: int, node: int, token: str, seconds: float) -> dict[str, Any]:
    """connects: whether node 0 answered there. Tried until the time is up: node 0 may be a moment later than we."""
    deadline = time.monotonic() + seconds
    why = "no time to try"
    while time.monotonic() < deadline:
        try:
            with socket.create_connection(
                (address, port), timeout=max(0.1, deadline - time.monotonic())
            ) as call:
                call.settimeout(1.0)
                call.sendall(f"{token} {node}\n".encode())
                if call.recv(64).decode(errors="replace").strip() == token:
                    return {"connects": True, "from": str(call.getsockname()[0])}
                return {"connects": False, "why": "something else answers there"}
        except OSError as error:
            why = error.strerror or str(error)
            if error.errno in _NO_WAY:
                break
        time.sleep(0.1)
    return {"connects": False, "why": why}
