"""Process 1 of a host: name, own /sys, /run, /dev/shm, /etc/hosts and a private folder; then waits for orphans.

Run as `python -S host_init.py NAME HOSTS PRIVATE READY` inside fresh mount, UTS, IPC, PID and network namespaces.
"""

import contextlib
import os
import pwd
import socket
import subprocess
import sys
from pathlib import Path

# what somebody's own shell does at a login is none of the hosts' business
STARTUP = (".bashrc", ".bash_profile", ".bash_login", ".profile")


def mount(*words):
    subprocess.run(["mount", *words], check=True)


def main(name, hosts, private, ready):
    socket.sethostname(name)
    mount("-t", "proc", "proc", "/proc")
    if name != "head":
        # the devices of this network namespace, not of the machine
        mount("-t", "sysfs", "sysfs", "/sys")
        mount("-t", "tmpfs", "tmpfs", "/dev/shm")
        mount("-t", "tmpfs", "tmpfs", private)
        subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    mount("-t", "tmpfs", "tmpfs", "/run")
    Path("/run/sshd").mkdir(mode=0o755)
    mount("--bind", hosts, "/etc/hosts")
    empty = Path("/run/empty")
    empty.touch()
    for own in (Path(pwd.getpwuid(0).pw_dir, name) for name in STARTUP):
        if own.exists():
            mount("--bind", str(empty), str(own))
    Path(ready).write_text("")
    while True:
        # a write end that is held by whoever made this host: its end is ours
        with contextlib.suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        if wait_for_owner(0.1):
            return


def wait_for_owner(seconds):
    """Whether standard input has ended."""
    import select

    readable, _, _ = select.select([0], [], [], seconds)
    return bool(readable) and not os.read(0, 1)


if __name__ == "__main__":
    main(*sys.argv[1:])
