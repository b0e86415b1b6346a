"""Keys, sshd and the client's configuration: logins from this machine to every host, as root, by key."""

from __future__ import annotations

import socket
import subprocess
from pathlib import Path

from lab.host import Host, wait_until

__all__ = ["client_config", "make_key", "start_sshd"]

SERVER = """\
Port 22
ListenAddress 0.0.0.0
HostKey {folder}/host_key
AuthorizedKeysFile {authorized}
PermitRootLogin prohibit-password
PasswordAuthentication no
KbdInteractiveAuthentication no
StrictModes no
UsePAM no
UseDNS no
MaxStartups 100
MaxSessions 100
PrintMotd no
PidFile none
Subsystem sftp internal-sftp
"""
CLIENT = """\
Host {names}
    User root
    IdentityFile {folder}/key
    IdentitiesOnly yes
    BatchMode yes
    UserKnownHostsFile {folder}/known_hosts
    GlobalKnownHostsFile none
    StrictHostKeyChecking yes
    ConnectTimeout 5
"""


def make_key(place: Path) -> str:
    """A new pair of keys; gives the public one."""
    words = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "lab", "-f", str(place)]
    subprocess.run(words, check=True)
    return place.with_suffix(".pub").read_text()


def start_sshd(host: Host, *, authorized: Path) -> None:
    key = host.folder / "host_key"
    if not key.exists():
        make_key(key)
    config = host.folder / "sshd_config"
    config.write_text(SERVER.format(folder=host.folder, authorized=authorized))
    host.serve("sshd", ["/usr/sbin/sshd", "-D", "-e", "-f", str(config)])
    wait_until(lambda: _answers(host.address), lambda: f"sshd of {host.name} answers: {host.log('sshd')}")


def client_config(hosts: list[Host], *, folder: Path) -> Path:
    """File for `ssh -F`: every host by name (that nothing on this machine needs to resolve) and by address."""
    known = [f"{host.name},{host.address} {(host.folder / 'host_key.pub').read_text()}" for host in hosts]
    (folder / "known_hosts").write_text("".join(known))
    named = [
        f"Host {host.name}\n    HostName {host.address}\n    HostKeyAlias {host.name}\n" for host in hosts
    ]
    every = " ".join(word for host in hosts for word in (host.name, host.address))
    place = folder / "config"
    place.write_text("".join(named) + CLIENT.format(names=every, folder=folder))
    return place


def _answers(address: str) -> bool:
    try:
        with socket.create_connection((address, 22), timeout=1) as link:
            return link.recv(4) == b"SSH-"
    except OSError:
        return False
