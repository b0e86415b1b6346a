"""How hosts reach the main node: what its name stands for, over which interface, and through which port."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from launcher.errors import Problem
from launcher.handoff.doctor.answers import Answer
from launcher.handoff.doctor.findings import Finding, named, row
from launcher.spec.checkup import Cell
from launcher.spec.plan import RunPlan

__all__ = ["clocks", "interfaces", "main_address", "port", "set_interfaces"]

_SECONDS = 2.0
"""How far a clock may be off: `make` and ninja compare files that are built a second apart."""


def main_address(address: str, answers: Sequence[Answer]) -> Finding:
    """What the address stands for on each host: on another one than the main node it must not be that host itself."""
    problems = []

    def cell(answer: Answer, found: Mapping[str, Any]) -> Cell:
        there = found.get("main")
        if there is None:
            problems.append(_unknown(address, answer, found.get("why") or "not found"))
            return Cell(found="unknown", state="bad", why="no such name")
        if answer.of("node") in (0, None) or not _is_loopback(there):
            return Cell(found=there)
        problems.append(_loopback(address, answer, there, answers))
        return Cell(found=there, state="bad", why="this host itself")

    return Finding(row=row("main address", answers, "network", cell), problems=tuple(problems))


def _unknown(address: str, answer: Answer, why: str) -> Problem:
    return Problem(
        code="main-unreachable",
        path="launch.network.main_address",
        message=f"on {answer.host} the main address `{address}` stands for nothing: {why}",
        hint=f"write an address into launch.network.main_address, or the name into /etc/hosts on {answer.host}",
    )


def _loopback(address: str, answer: Answer, there: str, answers: Sequence[Answer]) -> Problem:
    others = [(each.of("network") or {}).get("main") for each in answers]
    right = next((str(other) for other in others if other and not _is_loopback(other)), None)
    seen = right or "an address that every host reaches"
    return Problem(
        code="main-is-loopback",
        path="launch.network.main_address",
        message=f"on {answer.host} the main address `{address}` stands for {there}, this host itself",
        because=(f"other hosts find it at {right}",) if right else (),
        hint=f"launch.network.main_address: {seen}, or mend /etc/hosts on {answer.host}",
    )


def interfaces(plan: RunPlan, answers: Sequence[Answer]) -> Finding:
    """Network interface that leads to the main node; of the main node, the one that the others come to."""
    written = plan.launch.interface
    absent: dict[str, list[str]] = {}

    def cell(answer: Answer, found: Mapping[str, Any]) -> Cell:
        if written != "auto":
            names = [name for name, _ in found["interfaces"]]
            if written in names:
                return Cell(found=written, state="note", why="as written")
            others = ", ".join(dict.fromkeys(name for name in names if name != "lo"))
            absent.setdefault(others, []).append(answer.host)
            return Cell(found="none", state="bad", why=f"no {written}")
        chosen = _interface(answer)
        if chosen is None:
            return Cell(found="-", state="unknown")
        default = _set(answer, plan)
        if default is None:
            return Cell(found=chosen)
        return Cell(found=chosen, state="note", why=f"set, else {default}")

    made = row("interface", answers, "network", cell)
    return Finding(row=made, problems=_absent(written, absent))


def _absent(written: str, absent: Mapping[str, Sequence[str]]) -> tuple[Problem, ...]:
    return tuple(
        Problem(
            code="interface-not-found",
            path="launch.network.interface",
            message=f"`interface: {written}`: no such network interface on {named(hosts)}",
            because=(f"there is {others or 'none'}",),
            hint="write one that all hosts have, or `interface: auto`",
        )
        for others, hosts in absent.items()
    )


def set_interfaces(plan: RunPlan, answers: Sequence[Answer]) -> tuple[str, ...]:
    """What will be set where, in words."""
    written = plan.launch.interface
    if written != "auto":
        return (f"GLOO_SOCKET_IFNAME and NCCL_SOCKET_IFNAME will be {written}, as written",)
    by_words: dict[str, list[str]] = {}
    for answer in answers:
        default = _set(answer, plan) if answer.of("network") else None
        if default:
            variable = "NCCL_SOCKET_IFNAME" if plan.layout.backend == "nccl" else "GLOO_SOCKET_IFNAME"
            words = f"{variable} will be {_interface(answer)}; by itself the library would take {default}"
            by_words.setdefault(words, []).append(answer.host)
    return tuple(f"{named(hosts)}: {words}" for words, hosts in by_words.items())


def _interface(answer: Answer) -> str | None:
    """The main node is known by where the others came to; its own name may stand for 127.0.1.1 there."""
    came_to = (answer.of("main") or {}).get("reached_by")
    found = came_to[0] if came_to else (answer.of("network") or {}).get("interface")
    return None if found is None else str(found)


def _set(answer: Answer, plan: RunPlan) -> str | None:
    """The interface that the library would take instead; None where that is the right one."""
    library = "nccl" if plan.layout.backend == "nccl" else "gloo"
    default = str(answer.of("network")["default"].get(library) or "none")
    right = _interface(answer)
    keeps = right in (None, "lo", default) or (library == "nccl" and default.startswith("ib"))
    return None if keeps else default


def port(number: int, address: str, answers: Sequence[Answer], *, written: bool) -> Finding:
    """Whether the main node can listen, and every other one connect. written: by a person, not for this check."""
    problems: list[Problem] = []
    main = next((answer for answer in answers if answer.of("node") == 0), None)
    met = (main.of("main") if main else None) or {}  # it may still be waiting for a host that cannot come
    cannot = [answer for answer in answers if (answer.of("main") or {}).get("connects") is False]
    taken = met.get("listens") is False

    def cell(_answer: Answer, found: Mapping[str, Any]) -> Cell:
        if "listens" in found:
            return Cell(
                found=f"{number} {'listens' if found['listens'] else 'in use'}",
                state="ok" if found["listens"] else "bad",
            )
        if found.get("connects"):
            return Cell(found=f"{number} reached")
        if taken or main is None:
            return Cell(found="-", state="unknown")
        return Cell(found=f"{number} closed", state="bad", why=str(found.get("why", "")).lower())

    if taken and written:
        problems.append(_taken(number, answers, str(met.get("why"))))
    if main is not None and not taken:
        for answer in cannot:
            looped = _is_loopback((answer.of("network") or {}).get("main"))
            if not looped and (answer.of("network") or {}).get("main"):
                problems.append(_unreachable(number, address, answer))
    return Finding(row=row("port", answers, "main", cell), problems=tuple(problems))


def _taken(number: int, answers: Sequence[Answer], why: str) -> Problem:
    host = next(answer.host for answer in answers if answer.of("node") == 0)
    return Problem(
        code="port-in-use",
        path="launch.network.port",
        message=f"`port: {number}` cannot be listened on by {host}",
        because=(why,),
        hint="drop launch.network.port: one is chosen for every run",
    )


def _unreachable(number: int, address: str, answer: Answer) -> Problem:
    why = str(answer.of("main").get("why"))
    there = (answer.of("network") or {}).get("main")
    shown = f"{address} ({there})" if there not in (None, address) else address
    silent = "timed out" in why
    return Problem(
        code="main-unreachable",
        path="launch.network.main_address",
        message=f"{answer.host} cannot reach the main node at {shown} port {number}: {why}",
        hint="a firewall drops it: open ports 20000 to 29999 between the hosts, or name an open one: "
        "launch.network.port"
        if silent
        else f"is that the address of the main node, in a network that {answer.host} is in? "
        "launch.network.main_address names another one",
    )


def clocks(answers: Sequence[Answer]) -> Finding:
    """How far each clock is off this machine's; what the way there and back leaves open counts for the host."""
    off: list[Answer] = []

    def cell(answer: Answer, began: float) -> Cell:
        # it began after it was sent and ended before it was received: skew lies between the two
        low, high = _off(answer), began - answer.sent
        found = f"{low:+.1f} s" if abs(low) < 100 else f"{low:+,.0f} s"
        if low > _SECONDS or high < -_SECONDS:
            off.append(answer)
            return Cell(found=found, amount=low, state="note", why="differs")
        return Cell(found="+0.0 s" if found == "-0.0 s" else found, amount=low)

    made = row("clock", answers, "began", cell)
    problems = tuple(
        Problem(
            code="clock-differs",
            message=f"the clock of {answer.host} is {_off(answer):+.1f} s off this machine's",
            severity="warning",
            hint=f"let ntp or chrony set it: `chronyc tracking` on {answer.host}",
        )
        for answer in off
    )
    return Finding(row=made, problems=problems)


def _off(answer: Answer) -> float:
    """Seconds that the host's clock is ahead, as of the moment its answer came."""
    return float(answer.facts["ended"]) - answer.received


def _is_loopback(address: object) -> bool:
    return str(address).startswith("127.") or address == "::1"
