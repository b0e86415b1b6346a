"""The run folder on hosts that do not share it: copied there before the job, brought back after it, over ssh.

The fan-out is pdsh's: its exec module runs one local command per host. That command is a tar through ssh, because
modes are kept, the options are those of pdsh's own ssh, and nothing but a shell is needed on the host.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from launcher.errors import HandoffError, Problem
from launcher.handoff.launch_papers import LAUNCH
from launcher.handoff.running.commands import JobCommand
from launcher.handoff.running.job import Ending, run_job
from launcher.spec.shell import quote

__all__ = ["on_every_host"]

_SECONDS = 300.0  # for all hosts together; ssh itself gives up a silent host after 15 s
_NODE = "\0node\0"  # the node's number, until everything else is safe from pdsh

# one line per node, with its number
_LOOK = """\
cd -- {run} 2>/dev/null || {{ echo batchwright-node {node} absent; exit 0; }}
if grep -qF {word} {launch} 2>/dev/null; then echo batchwright-node {node} here
elif [ -n "$(ls -A)" ]; then echo batchwright-node {node} other
else echo batchwright-node {node} absent; fi"""
_RECEIVE = (
    "umask 077; mkdir -p {parent} && mkdir -p {run} {run}/logs && chmod 700 {run} && tar -C {run} -xpof -"
)
_GATHER = """\
cd -- {run} || exit 0
rm -f secrets.*.json
set --
for each in ranks nodes logs stacks beats *.jsonl; do [ -e "$each" ] && set -- "$@" "$each"; done
[ $# -eq 0 ] || tar -cf - "$@"
exit 0"""
# run here, once per host
_EACH = """\
node=$1 nodes=$2 run=$3 host=$4 remote=$5; shift 5
case " $nodes " in *" $node "*) ;; *) exit 0 ;; esac
umask 077; cd -- "$run" || exit 1
"""
_SEND = """\
own=secrets.$node.json; [ -e "$own" ] || own=
tar -cf - {files} $own | ssh "$@" "$host" "$remote"
"""
_FETCH = """\
ssh "$@" "$host" "$remote" </dev/null >".$node.tar"; code=$?
[ -s ".$node.tar" ] && tar -xof ".$node.tar"
rm -f ".$node.tar"; exit $code
"""


def on_every_host(
    job: Callable[[], Ending],
    *,
    start: JobCommand,
    hosts: Sequence[str],
    directory: Path,
    wake: int,
    say: Callable[[str], None],
) -> Ending:
    """Runs the job with its folder on every host, and has what the hosts gathered in it here afterwards.

    start: the pdsh command of the job, whose program, options and environment are used. wake: descriptor of
    signals_as_bytes(); a request to end ends the copying too. Raises HandoffError[host-unreachable,
    directory-not-empty, node-papers].
    """
    hosted = _Hosted(start=start, hosts=tuple(hosts), directory=directory, wake=wake)
    states, ending = hosted.look()
    away = tuple(node for node, state in states.items() if state == "absent")
    if ending.interrupted_by is not None or not away:
        return ending if ending.interrupted_by is not None else job()
    try:
        ending = hosted.send(away)
        if ending.interrupted_by is not None:
            return ending
        say(f"copied  the folder to {', '.join(hosts[node] for node in away)}, where it is not shared")
        say("        logs and records come back at the end; what else the script writes into it stays there")
        return job()
    finally:
        for host in hosted.bring_back(away):
            say(f"note    {host} does not answer: its part of the run folder stays there")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Hosted:
    """The hosts of one run, reached as its own pdsh command reaches them."""

    start: JobCommand
    hosts: tuple[str, ...]
    directory: Path
    wake: int

    def look(self) -> tuple[dict[int, str], Ending]:
        """By node: `here` where it sees this very folder, `absent` where there is none.

        A node that does not answer is left out: the others name it when it does not come to them.
        """
        launch = json.loads((self.directory / LAUNCH).read_text(encoding="utf-8"))
        word = quote(f'"{launch["id"]}"')
        text = _LOOK.format(run=self._run_word, word=word, launch=LAUNCH, node=_NODE)
        remote = f"sh -c {quote(text)}".replace("%", "%%").replace(_NODE, "%n")
        heard, ending = self._run((*self._pdsh("ssh"), remote))
        lines = re.findall(r"^\S+: batchwright-node (\d+) (here|absent|other)\r?$", heard, re.MULTILINE)
        states = {int(node): str(state) for node, state in sorted(lines, key=lambda line: int(line[0]))}
        if ending.interrupted_by is None and not states:
            raise HandoffError(self._unreachable(heard))
        if taken := [node for node, state in states.items() if state == "other"]:
            raise HandoffError([self._taken(node) for node in taken])
        return states, ending

    def send(self, nodes: Collection[int]) -> Ending:
        """A copy for each of the nodes, with its own secrets only."""
        files = " ".join(
            quote(path.name)
            for path in sorted(self.directory.iterdir())
            if path.name not in {"logs", "status.json"} and not path.name.startswith(("secrets.", "."))
        )
        remote = _RECEIVE.format(run=self._run_word, parent=quote(str(self.directory.parent)))
        heard, ending = self._each(_SEND.format(files=files), nodes, remote)
        if ending.returncode and ending.interrupted_by is None:
            raise HandoffError(self._not_copied(heard))
        return ending

    def bring_back(self, nodes: Collection[int]) -> tuple[str, ...]:
        """Hosts that do not answer any more; of the others what they gathered is here. Secrets are removed there."""
        heard, _ = self._each(_FETCH, nodes, _GATHER.format(run=self._run_word))
        return tuple(self._failed(heard, code="255"))

    @property
    def _run_word(self) -> str:
        return quote(str(self.directory))

    def _each(self, script: str, nodes: Collection[int], remote: str) -> tuple[str, Ending]:
        """Runs a local script for each of the nodes; remote: what it runs there."""
        given = (
            " ".join(map(str, nodes)),
            str(self.directory),
            _NODE,
            f"sh -c {quote(remote)}",
            *self._options(),
        )
        words = [word.replace("%", "%%") for word in (_EACH + script, "sh", "%n", *given)]
        at_number, at_host = words.index("%%n"), words.index(_NODE)
        words[at_number], words[at_host] = "%n", "%h"
        return self._run((*self._pdsh("exec"), "sh", "-c", *words))

    def _pdsh(self, module: str) -> tuple[str, ...]:
        """The words of the job's own pdsh up to its command, with another way to the hosts."""
        words = list(self.start.argv[:-1])
        words[words.index("-R") + 1] = module
        return tuple(words)

    def _options(self) -> tuple[str, ...]:
        """What pdsh gives to ssh besides the host.

        Source: pdsh@2.34 src/modules/sshcmd.c:sshcmd_args_init
        """
        own = self.start.env.get("PDSH_SSH_ARGS", "-a -x").split()
        more = self.start.env.get("PDSH_SSH_ARGS_APPEND", "").split()
        return tuple(word for word in (*own, *more) if word not in {"-2", "-l%u", "%h"})

    def _run(self, words: Sequence[str]) -> tuple[str, Ending]:
        """What a command prints, and how it ended."""
        heard: list[bytes] = []
        ending = run_job(
            commands=[replace(self.start, argv=tuple(words))],
            run=None,
            wake=self.wake,
            grace_seconds=0.0,
            output=lambda _stream, data: heard.append(data),
            say=lambda _line: None,
            attendants=[_TimeLimit(time.monotonic() + _SECONDS)],
        )
        return b"".join(heard).decode(errors="replace"), ending

    def _failed(self, heard: str, *, code: str = r"\d+") -> list[str]:
        """Hosts whose command failed, as pdsh says it: `pdsh@here: node-b: ssh exited with exit code 255`."""
        said = set(re.findall(rf"^pdsh@[^:]*: (\S+): .* exit code {code}$", heard, re.MULTILINE))
        return [host for host in self.hosts if {host, host.partition(".")[0]} & said]

    def _unreachable(self, heard: str) -> list[Problem]:
        return [
            Problem(
                code="host-unreachable",
                message=f"`{host}` does not answer",
                because=_said(heard, host),
                hint=f"try `ssh {host} true` by hand until it works without a question",
            )
            for host in self._failed(heard) or self.hosts
        ]

    def _not_copied(self, heard: str) -> list[Problem]:
        return [
            Problem(
                code="node-papers",
                message=f"`{self.directory}` cannot be copied to {host}",
                because=_said(heard, host),
                hint="start from a folder that every host shares, or that can be made on each of them",
            )
            for host in self._failed(heard) or self.hosts
        ]

    def _taken(self, node: int) -> Problem:
        return Problem(
            code="directory-not-empty",
            message=f"`{self.directory}` on {self.hosts[node]} holds something else",
            hint="name a new folder; a run never shares one",
        )


@dataclass(frozen=True, slots=True)
class _TimeLimit:
    """Ends a command that takes too long."""

    deadline: float

    def files(self) -> Collection[int]:
        """None."""
        return ()

    def attend(self, *, ending: bool) -> bool:  # noqa: ARG002 - the protocol's
        """True once it is time."""
        return time.monotonic() > self.deadline


def _said(heard: str, host: str) -> tuple[str, ...]:
    """What ssh or a shell said of one host; pdsh puts its name before each line, at times without its domain."""
    names = {f"{host}: ", f"{host.partition('.')[0]}: "}
    lines = (
        line.removeprefix(name) for line in heard.splitlines() for name in names if line.startswith(name)
    )
    return tuple(dict.fromkeys(line.strip() for line in lines if line.strip()))[:4]
