"""munged, slurmctld and one slurmd per host: a real Slurm cluster."""

from __future__ import annotations

import os
import secrets
import shutil
import socket
import subprocess
from pathlib import Path

from lab.host import Host, wait_until

__all__ = ["cancel_all", "start_slurm", "start_slurmd", "wait_for_nodes"]

CONFIG = """\
ClusterName=lab
SlurmctldHost=head({head})
SlurmctldPort={port}
SlurmdPort=6818
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge/socket
CryptoType=crypto/munge
CommunicationParameters=NoCtldInAddrAny
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool-%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd-%n.pid
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
PropagateResourceLimits=NONE
ReturnToService=2
MpiDefault=none
SwitchType=switch/none
SlurmdParameters=config_overrides
SchedulerParameters=sched_interval=1,batch_sched_delay=0,defer_batch=0,sched_min_interval=0
InactiveLimit=0
KillWait=5
MinJobAge=300
SlurmctldTimeout=60
SlurmdTimeout=60
MessageTimeout=10
GresTypes=gpu
{nodes}
PartitionName=all Nodes={names} Default=YES MaxTime=INFINITE State=UP
"""
NODE = "NodeName={name} NodeAddr={address} CPUs={cpus} RealMemory=4096 Gres=gpu:2 State=UNKNOWN"


def start_slurm(hosts: list[Host], *, head: Host, folder: Path, cpus: int = 2) -> Path:
    """Starts the cluster and waits until every node is idle; gives slurm.conf."""
    folder.mkdir()
    folder.chmod(0o755)
    socket_path = _start_munged(head, folder / "munge")
    nodes = [NODE.format(name=host.name, address=host.address, cpus=cpus) for host in hosts]
    config = folder / "slurm.conf"
    config.write_text(
        CONFIG.format(
            head=head.address,
            port=_free_port(head.address),
            folder=folder,
            nodes="\n".join(nodes),
            names=",".join(host.name for host in hosts),
        )
    )
    for number in range(2):
        (folder / f"gpu{number}").touch()  # devices that Slurm counts and nobody opens
    (folder / "gres.conf").write_text(f"AutoDetect=off\nName=gpu File={folder}/gpu[0-1]\n")
    # nothing here uses cgroups; without a name slurmd looks at what is mounted and may refuse
    (folder / "cgroup.conf").write_text("CgroupPlugin=cgroup/v1\n")
    (folder / "state").mkdir()
    environ = {"PATH": os.environ["PATH"], "SLURM_CONF": str(config)}
    wait_until(socket_path.exists, lambda: f"munged listens: {head.log('munged')}")
    head.serve("slurmctld", ["slurmctld", "-D", "-f", str(config)], env=environ)
    for host in hosts:
        (folder / f"spool-{host.name}").mkdir()
        start_slurmd(host, config=config)

    def logs() -> str:
        return "\n".join(host.log(name) for host in (head, *hosts) for name in host.daemons)

    wait_for_nodes(environ, count=len(hosts), otherwise=logs)
    return config


def start_slurmd(host: Host, *, config: Path) -> None:
    """The host's daemon, which reports to slurmctld at once."""
    environ = {"PATH": os.environ["PATH"], "SLURM_CONF": str(config)}
    host.serve("slurmd", ["slurmd", "-D", "-N", host.name, "-f", str(config)], env=environ)


def wait_for_nodes(environ: dict[str, str], *, count: int, otherwise=str, seconds: float = 30) -> None:
    """Until so many nodes are idle: nothing runs on them, and nothing of a job is being cleared away."""
    wait_until(lambda: _idle(environ) == count, lambda: f"every node is idle\n{otherwise()}", seconds=seconds)


def cancel_all(environ: dict[str, str]) -> None:
    """Ends every job, whatever it does."""
    words = ["scancel", "--user=root"]
    subprocess.run(words, env=environ, capture_output=True, check=False, timeout=30)


def _start_munged(head: Host, folder: Path) -> Path:
    """Starts munged under the user that the package made for it; everything it reads is its own."""
    folder.mkdir()
    key = folder / "key"
    key.write_bytes(secrets.token_bytes(128))
    key.chmod(0o600)
    for path in (folder, key):
        shutil.chown(path, "munge", "munge")
    folder.chmod(0o755)
    place = folder / "socket"
    files = [f"--key-file={key}", f"--log-file={folder}/log", f"--pid-file={folder}/pid"]
    files += [f"--seed-file={folder}/seed", f"--socket={place}"]
    user = ["setpriv", "--reuid", "munge", "--regid", "munge", "--clear-groups"]
    head.serve("munged", [*user, "munged", "--foreground", "--force", *files])
    return place


def _free_port(address: str) -> int:
    with socket.socket() as listener:
        listener.bind((address, 0))
        return listener.getsockname()[1]


def _idle(environ: dict[str, str]) -> int:
    words = ["sinfo", "--noheader", "--Node", "--format=%t"]
    ran = subprocess.run(words, env=environ, capture_output=True, text=True, check=False, timeout=30)
    return ran.stdout.split().count("idle")
