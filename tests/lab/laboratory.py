"""The lab: what tests ask of the two hosts, and what a fault does to them."""

from __future__ import annotations

import atexit
import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

from lab.host import Host, wait_until
from lab.network import Bridge
from lab.secure_shell import client_config, make_key, start_sshd
from lab.slurm_cluster import cancel_all, start_slurm, start_slurmd, wait_for_nodes

__all__ = ["HOSTS", "Lab", "missing"]

HOSTS = ("node-a", "node-b")
NEEDED = {
    "ip": "iproute2",
    "nsenter": "util-linux",
    "sshd": "openssh-server",
    "ssh": "openssh-client",
    "pdsh": "pdsh",
    "munged": "munge",
    "slurmctld": "slurm-wlm",
    "slurmd": "slurm-wlm",
    "srun": "slurm-wlm",
}
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def missing() -> str | None:
    """Why this machine cannot have a lab; None where it can."""
    absent = sorted({package for tool, package in NEEDED.items() if not shutil.which(tool, path=PATH)})
    if absent:
        return f"the lab needs packages: {' '.join(absent)}"
    if os.geteuid() != 0:
        return "the lab needs root: it makes network namespaces"
    tried = ["unshare", "--net", "--mount", "--pid", "--uts", "--ipc", "--fork", "true"]
    if subprocess.run(tried, capture_output=True, check=False).returncode:
        return "the lab needs namespaces: unshare is not allowed here"
    return None


class Lab:
    """Hosts node-a (.1) and node-b (.2) on a bridge, this machine (.254) beside them; Slurm when it is asked for."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="batchwright-lab-"))
        self.folder.chmod(0o755)
        self._owner = os.getpid()
        atexit.register(self.close)
        self.bridge = Bridge()
        self.hosts: dict[str, Host] = {}
        self._cables: dict[str, str] = {}
        self._covered: list[tuple[str, Path]] = []
        self._slurm: Path | None = None
        self._head: Host | None = None
        try:
            self._start_hosts()
        except BaseException:
            self.close()
            raise

    # what a person on this machine has

    def ssh_environ(self, **more: str) -> dict[str, str]:
        """Environment of a person who reaches the hosts by name with pdsh."""
        return {**_environ(), "PDSH_SSH_ARGS_APPEND": f"-F {self.folder}/config", **more}

    def slurm_environ(self, **more: str) -> dict[str, str]:
        """Environment of a person in front of the Slurm cluster, which starts now if it has not yet."""
        return {**_environ(), "SLURM_CONF": str(self.slurm_config()), **more}

    def hostfile(self, folder: Path, slots: int = 1) -> Path:
        """A hostfile of both hosts in a folder."""
        place = Path(folder) / "hostfile"
        place.write_text("".join(f"{name} slots={slots}\n" for name in self.hosts))
        return place

    def address(self, host: str) -> str:
        return self.hosts[host].address

    @property
    def main_address(self) -> str:
        return self.hosts[HOSTS[0]].address

    def slurm_config(self) -> Path:
        if self._slurm is None:
            head = Host(
                name="head", address=f"{self.bridge.prefix}.254", folder=self.folder / "head", network=False
            )
            self._head = head
            head.hosts_file.write_text(self._names())
            self._slurm = start_slurm(list(self.hosts.values()), head=head, folder=self.folder / "slurm")
        return self._slurm

    def private(self, host: str) -> Path:
        """A folder that every host has for itself: the same path, another content on each, none of it here."""
        return self.hosts[host].private

    # what happens on the hosts

    def run_in(self, host: str, argv: list[str], **options) -> subprocess.CompletedProcess[str]:
        """Runs argv on a host without a login (seconds=30, and what subprocess.run takes)."""
        return self.hosts[host].run(argv, **options)

    def pids(self, host: str) -> dict[int, str]:
        """Processes on a host by number (as seen from here) with their command lines, its daemons left out."""
        return self.hosts[host].named()

    def left(self, *, but: tuple[str, ...] = ()) -> dict[str, list[str]]:
        """Command lines that still run on any host, those left out that begin with one of these words."""
        running = {
            name: [line for line in self.pids(name).values() if not line.startswith(but)]
            for name in self.hosts
        }
        return {name: lines for name, lines in running.items() if lines}

    def wait_empty(self, seconds: float = 5, *, but: tuple[str, ...] = ()) -> None:
        """Until no process is left on any host; else an assertion that names them."""
        with contextlib.suppress(AssertionError):
            wait_until(lambda: not self.left(but=but), str, seconds=seconds)
        left = self.left(but=but)
        assert not left, f"still running after {seconds:.1f} s: {left}"

    # faults, all taken back by restore()

    def kill(self, host: str) -> None:
        """A host dies: every process on it but its daemons, logins too, at once and without a word."""
        for pid in self.hosts[host].pids():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def link(self, host: str, *, up: bool = False) -> None:
        """Pulls a host's cable out, or puts it in again."""
        self.bridge.switch(self._cables[host], up=up)

    def refuse(self, host: str) -> None:
        """A host whose sshd is not running: connections are refused."""
        self.hosts[host].stop_serving("sshd")

    def resolve(self, host: str, **addresses: str) -> None:
        """On one host, names lead elsewhere: lab.resolve("node-b", **{"node-a": "127.0.0.1"})."""
        lines = [f"{address} {name}\n" for name, address in addresses.items()]
        kept = [line for line in self._names().splitlines(keepends=True) if line.split()[1] not in addresses]
        # written in place: the file is bound over /etc/hosts by its inode
        self.hosts[host].hosts_file.write_text("".join([*lines, *kept]))

    def listen(self, host: str, port: int) -> None:
        """Somebody else's program on a host has a port."""
        code = f"import socket, time; door = socket.create_server(('', {port})); print('up', flush=True); time.sleep(600)"
        self.hosts[host].serve("listener", [sys.executable, "-S", "-c", code])
        wait_until(lambda: "up" in self.hosts[host].log("listener"), lambda: self.hosts[host].log("listener"))

    def unreachable(self, host: str, address: str) -> None:
        """On one host, a route says that there is no way to an address."""
        self.run_in(host, ["ip", "route", "add", "unreachable", f"{address}/32"], check=True)

    def cover(self, host: str, path: Path, text: str) -> None:
        """On one host, a file reads otherwise: another one is bound over it."""
        fake = self.folder / f"cover-{host}-{len(self._covered)}"
        fake.write_text(text)
        self.run_in(host, ["mount", "--bind", str(fake), str(path)], check=True)
        self._covered.append((host, path))

    def restore(self) -> None:
        """Everything as it was at the start; what still runs on a host is ended."""
        while self._covered:
            host_name, path = self._covered.pop()
            self.run_in(host_name, ["umount", str(path)], check=True)
        if self._slurm is not None:
            cancel_all(self.slurm_environ())
        for name, host in self.hosts.items():
            for daemon in set(host.daemons) - {"sshd", "slurmd"}:
                host.stop_serving(daemon)
            self.kill(name)
            self.link(name, up=True)
            host.hosts_file.write_text(self._names())
            host.run(["ip", "route", "flush", "type", "unreachable"])
            if "sshd" not in host.daemons:
                start_sshd(host, authorized=self.folder / "key.pub")
            for place in host.private_content():
                host.run(["rm", "-rf", place])
        if self._slurm is not None:
            self._return_to_slurm()

    def _return_to_slurm(self) -> None:
        """Every node idle; one that Slurm has given up meanwhile comes back with a new slurmd."""
        assert self._slurm is not None
        environ = self.slurm_environ()
        try:
            wait_for_nodes(environ, count=len(self.hosts), seconds=8)
        except AssertionError:
            for host in self.hosts.values():
                host.stop_serving("slurmd")
                start_slurmd(host, config=self._slurm)
            wait_for_nodes(environ, count=len(self.hosts))

    def close(self) -> None:
        """Ends every process of the lab and takes its network and folder away."""
        if os.getpid() != self._owner:
            return  # a fork that ends
        atexit.unregister(self.close)
        for host in (*self.hosts.values(), *([self._head] if self._head else [])):
            host.close()
        self.hosts, self._head = {}, None
        self.bridge.close()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _start_hosts(self) -> None:
        make_key(self.folder / "key")
        for number, name in enumerate(HOSTS, 1):
            address = f"{self.bridge.prefix}.{number}"
            host = Host(name=name, address=address, folder=self.folder / name, network=True)
            self.hosts[name] = host
            self._cables[name] = self.bridge.cable(pid=host.pid, number=number)
        for host in self.hosts.values():
            host.hosts_file.write_text(self._names())
            start_sshd(host, authorized=self.folder / "key.pub")
        client_config(list(self.hosts.values()), folder=self.folder)

    def _names(self) -> str:
        every = [f"{host.address} {name}\n" for name, host in self.hosts.items()]
        return "".join(["127.0.0.1 localhost\n", *every, f"{self.bridge.prefix}.254 head\n"])


def _environ() -> dict[str, str]:
    return {
        "PATH": f"{Path(sys.executable).parent}:{PATH}",
        "HOME": os.environ.get("HOME", "/root"),
        "LANG": "C.UTF-8",
    }
