"""Whether a port of this machine can be listened on."""

from __future__ import annotations

__all__ = ["why_not_listen"]


def why_not_listen(port: int) -> str | None:
    """None when the port is free, else what the system says."""
    import socket

    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("", port))
        except OSError as error:
            return error.strerror
    return None
