"""Whether a shell of every host is reached, in the words of ssh where it is not."""

from __future__ import annotations

from collections.abc import Sequence

from launcher.errors import Problem
from launcher.handoff.doctor.answers import Answer
from launcher.handoff.doctor.findings import Finding, named
from launcher.spec.checkup import Cell, Row

__all__ = ["reaching"]

# words of ssh -> short form for the table, cure; the first row whose words occur
_CURES = (
    (
        "Connection refused",
        "refused",
        "no ssh server listens there: start sshd on {host}, or correct Port in ~/.ssh/config",
    ),
    ("Connection timed out", "timed out", "is {host} up? does a firewall drop ssh? try `ping {host}`"),
    ("No route to host", "no route", "is {host} up, and in a network that this machine reaches?"),
    ("Network is unreachable", "no route", "this machine has no route to {host}: look at `ip route`"),
    (
        "Could not resolve hostname",
        "no such name",
        "correct the hostfile, or give the name an address: DNS, /etc/hosts or HostName in ~/.ssh/config",
    ),
    (
        "Host key verification failed",
        "host key",
        "ssh does not know the key of {host}, or knows another one: `ssh {host}` once by hand, and compare",
    ),
    (
        "Permission denied",
        "denied",
        "ssh must get in without a password: `ssh-copy-id {host}`, and the right User in ~/.ssh/config",
    ),
    (
        "Too many authentication failures",
        "denied",
        "name one key: IdentityFile and IdentitiesOnly for {host}",
    ),
)


def reaching(answers: Sequence[Answer], *, name: str = "ssh", seconds: float = 0.0) -> Finding:
    """name: what reaches the hosts. seconds: how long answers were waited for."""
    cells: list[Cell] = []
    problems: list[Problem] = []
    without: dict[str, list[str]] = {}
    for answer in answers:
        if answer.facts:
            cells.append(Cell(found="ok"))
        elif answer.reached:
            cells.append(Cell(found="no Python", state="bad"))
            said = answer.said[-1] if answer.said else f"exit code {answer.exit}"
            without.setdefault(said.replace(answer.host, "HOST"), []).append(answer.host)
        else:
            said, short, cure = _words(answer, seconds)
            cells.append(Cell(found=short, state="bad"))
            problems.append(_unreachable(answer, said, cure))
    problems += [_no_python(said, hosts) for said, hosts in without.items()]
    return Finding(row=Row(name=name, cells=tuple(cells)), problems=tuple(problems))


def _words(answer: Answer, seconds: float) -> tuple[str, str, str]:
    """What was said, its short form, and the cure."""
    text = "\n".join(answer.said)
    for words, short, cure in _CURES:
        if words in text:
            line = next(line for line in answer.said if words in line)
            return line, short, cure.format(host=answer.host)
    cure = f"try `ssh {answer.host} true` by hand"
    if answer.said:
        return answer.said[-1], "unreachable", cure
    if answer.exit is None:
        return f"no answer within {seconds:g} s", "no answer", cure
    return f"ssh ended with exit code {answer.exit} and said nothing", "unreachable", cure


def _unreachable(answer: Answer, said: str, cure: str) -> Problem:
    return Problem(
        code="host-unreachable", path="cluster.hostfile", message=f"{answer.host}: {said}", hint=cure
    )


def _no_python(said: str, hosts: Sequence[str]) -> Problem:
    """The shell is there, and what was to be started in it is not."""
    return Problem(
        code="executable-not-found",
        path="launch.python",
        message=f"the job's interpreter does not start on {named(hosts)}",
        because=(said,),
        hint="let launch.python name one that every host has, and launch.setup what it needs",
    )
