"""One host: processes in namespaces of their own, reached over the network or entered from here."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

__all__ = ["Host", "wait_until"]

INIT = Path(__file__).with_name("host_init.py")


class Host:
    """A process 1 in its own namespaces. When it ends, the kernel ends all others there and takes the network down."""

    def __init__(self, *, name: str, address: str, folder: Path, network: bool) -> None:
        self.name = name
        self.address = address
        self.folder = folder
        self.hosts_file = folder / "hosts"
        self.private = folder.parent / "private"
        self.daemons: dict[str, subprocess.Popen[bytes]] = {}
        self._entered: dict[str, int] = {}
        self.private.mkdir(exist_ok=True)
        folder.mkdir(exist_ok=True)
        self.hosts_file.touch()
        ready = folder / "ready"
        spaces = ["--mount", "--uts", "--ipc", "--pid", *(["--net"] if network else [])]
        init = [
            sys._base_executable,
            "-S",
            str(INIT),
            name,
            str(self.hosts_file),
            str(self.private),
            str(ready),
        ]
        with (folder / "init.log").open("ab") as log:
            self.process = subprocess.Popen(
                ["setpriv", "--pdeathsig", "KILL", "unshare", *spaces, "--fork", "--kill-child", *init],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        wait_until(ready.exists, lambda: f"{name} has come up: {self.log('init')}", seconds=20)
        self.pid = next(pid for pid in _pids() if _parent(pid) == self.process.pid)
        self._space = _space(self.pid)

    def words(self, argv: list[str], *, cwd: str = "/") -> list[str]:
        """Argv as it is started from here to run on this host."""
        spaces = ["-m", "-u", "-i", "-n", "-p"]
        return ["nsenter", "-t", str(self.pid), *spaces, "--", "env", "-C", cwd, *argv]

    def run(self, argv: list[str], *, seconds: float = 30, **options) -> subprocess.CompletedProcess[str]:
        """Runs argv on this host, outside of any login, and returns what it printed."""
        words = self.words(argv, cwd=str(options.pop("cwd", "/")))
        options = {"capture_output": True, "text": True, **options}
        return subprocess.run(words, timeout=seconds, check=options.pop("check", False), **options)

    def serve(self, name: str, argv: list[str], **options) -> None:
        """Starts a daemon in the foreground; it counts as part of the host."""
        log = (self.folder / f"{name}.log").open("ab")
        before = set(self._members())
        self.daemons[name] = subprocess.Popen(
            self.words(argv),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
            **options,
        )
        log.close()
        started = self.daemons[name].pid
        wait_until(
            lambda: any(_parent(pid) == started for pid in set(self._members()) - before),
            lambda: f"{name} of {self.name} has started: {self.log(name)}",
        )
        self._entered[name] = next(pid for pid in self._members() if _parent(pid) == started)

    def stop_serving(self, name: str) -> None:
        """Ends one daemon alone; what it started goes on."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self._entered.pop(name), signal.SIGKILL)
        self.daemons.pop(name).wait(10)

    def log(self, name: str) -> str:
        place = self.folder / f"{name}.log"
        return place.read_text(errors="replace") if place.exists() else ""

    def pids(self) -> list[int]:
        """Processes on this host, its process 1 and its daemons left out; numbers as they are seen from here."""
        own = {self.pid, *self._entered.values()}
        return [pid for pid in self._members() if pid not in own]

    def named(self) -> dict[int, str]:
        """Command lines of pids()."""
        return {pid: _command(pid) for pid in self.pids()}

    def private_content(self) -> list[str]:
        return self.run(["find", str(self.private), "-mindepth", "1", "-maxdepth", "1"]).stdout.splitlines()

    def close(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)
        for process in (*self.daemons.values(), self.process):
            process.wait(10)
        if self.process.stdin:
            self.process.stdin.close()

    def _members(self) -> list[int]:
        return [pid for pid in _pids() if _space(pid) == self._space]


def wait_until(true, what, *, seconds: float = 10) -> None:
    """Until true() holds; else an assertion with what(), which did not come true."""
    until = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < until, f"not after {seconds} s: {what()}"
        time.sleep(0.02)


def _pids() -> list[int]:
    return sorted(int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit())


def _space(pid: int) -> str:
    try:
        return str(Path(f"/proc/{pid}/ns/pid").readlink())
    except OSError:  # ended meanwhile
        return ""


def _parent(pid: int) -> int:
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    except OSError:
        return 0


def _command(pid: int) -> str:
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace").split("\0")
        return " ".join(words).strip() or Path(f"/proc/{pid}/comm").read_text().strip()
    except OSError:
        return ""
