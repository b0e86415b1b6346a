"""The same software everywhere: Python, packages, the training script."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from launcher.errors import Problem
from launcher.handoff.doctor.answers import Answer
from launcher.handoff.doctor.findings import Finding, named, row
from launcher.spec.checkup import Cell
from launcher.spec.plan import RunPlan

__all__ = ["software"]

_MUST = ("python", "torch", "batchwright")
_SHOWN = {"python": "Python", "nccl": "NCCL"}


def software(plan: RunPlan, answers: Sequence[Answer]) -> tuple[Finding, ...]:
    """A row per package that the plan needs, and per other one that hosts have in different versions."""
    found = []
    for name in ("python", "torch", "deepspeed", "accelerate", "transformers", "nccl", "batchwright"):
        needed = name in _MUST or name == plan.launch.engine
        wanted = needed or (name == "nccl" and plan.layout.backend == "nccl")
        versions = {_compared(name, _version(answer, name)) for answer in answers if answer.facts}
        if wanted or len(versions) > 1:
            found.append(_package(name, answers, needed=needed))
    nowhere = [each.row.name for each in found if each.row.cells and not each.problems and _nowhere(each)]
    if nowhere:
        told = [answer for answer in answers if answer.facts]
        first, *rest = found
        return (replace(first, problems=(*first.problems, _absent(nowhere, told))), *rest)
    return tuple(found)


def _nowhere(finding: Finding) -> bool:
    """Whether no host that answered has it."""
    states = {cell.state for cell in finding.row.cells if cell.state != "unknown"}
    return states == {"bad"}


def _package(name: str, answers: Sequence[Answer], *, needed: bool) -> Finding:
    """needed: the job cannot start where it is absent."""
    told = [answer for answer in answers if answer.of("versions") is not None]
    usual = _usual([_compared(name, _version(answer, name)) for answer in told])

    def cell(answer: Answer, _versions: object) -> Cell:
        version = _version(answer, name)
        if version is None and (needed or usual is not None):
            return Cell(found="none", state="bad", why="not installed")
        if _compared(name, version) != usual:
            return Cell(found=version or "none", state="bad", why="differs")
        return Cell(found=version or "none", state="ok" if version else "note")

    made = row(name, answers, "versions", cell)
    odd = [answer for answer in told if _compared(name, _version(answer, name)) != usual]
    return Finding(row=made, problems=(_different(name, told, odd, needed=needed),) if odd else ())


def _different(name: str, told: Sequence[Answer], odd: Sequence[Answer], *, needed: bool) -> Problem:
    shown = _SHOWN.get(name, name)
    usual = [answer for answer in told if answer not in odd]
    by_version: dict[str | None, list[str]] = {}
    for answer in (*usual, *odd):
        by_version.setdefault(_version(answer, name), []).append(answer.host)
    words = [f"{version or 'not installed'} on {named(hosts)}" for version, hosts in by_version.items()]
    version = _version(usual[0], name)
    where = named([answer.host for answer in odd])
    cure = f"install {shown} {version} on {where}" if version else f"install the same {shown} on every host"
    return Problem(
        code="nodes-differ",
        path="launch.python",
        message=f"{shown} differs between hosts: {'; '.join(words)}",
        because=tuple(f"{answer.host} was asked through {answer.of('interpreter')}" for answer in odd[:4]),
        severity="error" if needed else "warning",
        hint=f"{cure}, or let launch.python name an environment that all of them see",
    )


def _absent(names: Sequence[str], told: Sequence[Answer]) -> Problem:
    what = ", ".join(names)
    are = "are" if len(names) > 1 else "is"
    return Problem(
        code="nodes-differ",
        path="launch.python",
        message=f"{what} {are} not installed on {named([answer.host for answer in told])}",
        because=(f"asked through {told[0].of('interpreter')}",),
        hint="install what is missing there, or let launch.python name the environment that has it",
    )


def _usual(versions: Sequence[str | None]) -> str | None:
    """The most frequent one; of several the one that stands first, which is the main node's."""
    counted = Counter(versions)
    return max(versions, key=lambda version: counted[version]) if versions else None


def _version(answer: Answer, name: str) -> str | None:
    found = (answer.of("versions") or {}).get(name)
    return None if found is None else str(found)


def _compared(name: str, version: str | None) -> str | None:
    """3.11.2 and 3.11.9 read the same code and the same pickles."""
    return ".".join(version.split(".")[:2]) if name == "python" and version else version
