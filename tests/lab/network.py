"""A bridge on this machine and one cable from it to every host."""

from __future__ import annotations

import contextlib
import itertools
import os
import re
import subprocess
from pathlib import Path

__all__ = ["Bridge"]

LETTERS = itertools.cycle("abcdefghijklmnopqrstuvwxyz")


class Bridge:
    """10.77.X.0/24, X the first that no other bridge has; this machine is .254, hosts are .1, .2, ..."""

    def __init__(self) -> None:
        self.name = f"bw{os.getpid()}{next(LETTERS)}"
        _remove_what_others_left()
        _ip("link", "add", self.name, "type", "bridge", "forward_delay", "0")
        self.prefix = self._take_addresses()
        _ip("link", "set", self.name, "up")

    def cable(self, *, pid: int, number: int) -> str:
        """Joins the network namespace of a process, as .number; gives the name of the end on this side."""
        name = f"{self.name}n{number}"
        _ip("link", "add", name, "type", "veth", "peer", "name", "eth0", "netns", str(pid))
        _ip("link", "set", name, "master", self.name, "up")
        inside = ["nsenter", "-t", str(pid), "-n", "ip"]
        address = f"{self.prefix}.{number}/24"
        subprocess.run([*inside, "address", "add", address, "dev", "eth0"], check=True)
        subprocess.run([*inside, "link", "set", "eth0", "up"], check=True)
        return name

    def switch(self, cable: str, *, up: bool) -> None:
        _ip("link", "set", cable, "up" if up else "down")

    def close(self) -> None:
        with contextlib.suppress(subprocess.CalledProcessError):
            _ip("link", "del", self.name)

    def _take_addresses(self) -> str:
        for number in range(1, 255):
            mine = f"10.77.{number}.254/24"
            if f" 10.77.{number}." in _addresses():
                continue
            _ip("address", "add", mine, "dev", self.name)
            if len(re.findall(re.escape(f" {mine}"), _addresses())) == 1:
                return f"10.77.{number}"
            _ip("address", "del", mine, "dev", self.name)  # somebody else took it in the same moment
        raise RuntimeError("no free 10.77.X.0/24 on this machine")


def _remove_what_others_left() -> None:
    """Bridges whose maker is gone without having closed them."""
    for found in re.finditer(r"^\d+: (bw(\d+)[a-z]):", _links(), re.MULTILINE):
        if not Path(f"/proc/{found[2]}").exists():
            with contextlib.suppress(subprocess.CalledProcessError):
                _ip("link", "del", found[1])


def _links() -> str:
    return subprocess.run(["ip", "-o", "link"], capture_output=True, text=True, check=True).stdout


def _addresses() -> str:
    return subprocess.run(["ip", "-4", "-o", "address"], capture_output=True, text=True, check=True).stdout


def _ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True)
