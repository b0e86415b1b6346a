"""Hosts reached over ssh: one pdsh command here, whose only variable is the node's number.

Each node starts our own small program, which reads its part of the job from the run folder; so no word of the job
passes a shell on its way, and no variable stands in a command line. pdsh replaces %n by the number of the host in its
list; `-S` makes it return the largest code; `-f` lets it reach all hosts at once, because no node starts before all
are there. The remote command keeps its standard input as long as pdsh lives.

Source: pdsh@2.34 src/pdsh/dsh.c, src/modules/sshcmd.c, src/common/pipecmd.c:pipecmd_format_arg.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

from launcher.errors import EngineError, Problem
from launcher.executors.formats.site import container_problems, wrapped
from launcher.spec.bundle import PYTHON, RUN_DIR, LaunchBundle, NodeCommand, encoded
from launcher.spec.plan import RunPlan
from launcher.spec.shell import quote

__all__ = ["EXECUTOR", "OPTIONS", "Ssh"]

OPTIONS = {
    "BatchMode": "yes",  # a question would wait for ever for somebody who cannot see it
    "ConnectTimeout": "10",
    "ServerAliveInterval": "5",
    "ServerAliveCountMax": "3",
}
"""Of ssh, after those that the caller has in PDSH_SSH_ARGS_APPEND; a silent host is given up after 15 s."""

_HOST = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*", re.ASCII)
"""Names and addresses; nothing that pdsh expands (`[1-4]`, `,`), reads from a file (`^`), or excludes (`-`)."""
_NUMBER = "%n"


class Ssh:
    """One pdsh command for all nodes."""

    name = "ssh"

    def check(self, plan: RunPlan) -> Sequence[Problem]:
        """Hosts that nobody names, or that pdsh would read as something else; images that ssh cannot enter."""
        return (
            *_host_problems(plan),
            *container_problems(plan.launch.container, executor=self.name),
        )

    def render(self, plan: RunPlan, bundle: LaunchBundle) -> LaunchBundle:
        """The engine's commands for the nodes to look up, and the one that reaches the nodes."""
        errors = [*self.check(plan), *_fan_out_problems(plan, bundle)]
        if errors:
            raise EngineError(errors)
        hosts = tuple(command.host for command in bundle.commands)
        env = {"PDSH_SSH_ARGS_APPEND": " ".join(f"-o{name}={value}" for name, value in OPTIONS.items())}
        start = NodeCommand(node_rank=0, host=hosts[0], argv=_pdsh(plan, hosts, "--node", _NUMBER), env=env)
        return replace(
            bundle,
            commands=(start,),
            nodes=bundle.commands,
            stop=(_pdsh(plan, hosts, "--node", _NUMBER, "--stop"),),
            hosts=hosts,
            secret_files=True,
        )


EXECUTOR = Ssh()


def _pdsh(plan: RunPlan, hosts: Sequence[str], *options: str) -> tuple[str, ...]:
    words = wrapped(plan, (PYTHON, "-m", "batchwright_node", RUN_DIR, *options))
    remote = " ".join(("exec", *map(_remote_word, words)))
    return ("pdsh", "-S", "-R", "ssh", "-f", str(len(hosts)), "-w", ",".join(hosts), remote)


def _remote_word(word: str) -> str:
    """One word for the remote shell, as pdsh hands it on."""
    if word in {PYTHON, RUN_DIR}:
        return encoded(word, "shell", "pdsh")
    return word if word == _NUMBER else quote(word).replace("%", "%%")


def _host_problems(plan: RunPlan) -> tuple[Problem, ...]:
    nodes, hosts = plan.layout.num_nodes, plan.launch.hosts
    if not hosts and nodes > 1:
        problem = Problem(
            code="no-hostfile",
            path="cluster.hostfile",
            message=f"`launch.executor: ssh`: nothing names the {nodes} hosts",
            because=("without names each node would train alone",),
            hint="write cluster.hostfile: a file with a line `name slots=N` for each host",
        )
        return (problem,)
    return tuple(
        Problem(
            code="executor-cannot",
            path="cluster.hostfile",
            message=f"`{host}`: pdsh reads this as something else than one host",
            hint="use letters, digits and ._- only, a name or an IPv4 address",
        )
        for host in hosts
        if not _HOST.fullmatch(host)
    )


def _fan_out_problems(plan: RunPlan, bundle: LaunchBundle) -> tuple[Problem, ...]:
    """An engine that reaches the nodes itself leaves nothing for us to start on them."""
    if len(bundle.commands) == plan.layout.num_nodes:
        return ()
    problem = Problem(
        code="executor-cannot",
        path="launch.native.argv",
        message=f"{plan.launch.engine} has one command for {plan.layout.num_nodes} nodes: it reaches them by itself",
        hint="drop `--launcher pdsh` from launch.native.argv, or render it with launch.executor: local",
    )
    return (problem,)
