"""All answers against one another and against the plan: the rows of the table, and the problems. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from launcher.errors import Problem
from launcher.handoff.doctor.answers import Answer
from launcher.handoff.doctor.findings import Finding, unanswered
from launcher.handoff.doctor.machines import compiler, device_memory, devices, limits, shared_memory
from launcher.handoff.doctor.meeting_place import clocks, interfaces, main_address, port, set_interfaces
from launcher.handoff.doctor.places import data, run_folders, script
from launcher.handoff.doctor.reaching import reaching
from launcher.handoff.doctor.requests import Inquiry
from launcher.handoff.doctor.software import software
from launcher.spec.checkup import Row
from launcher.spec.plan import RunPlan

__all__ = ["Compared", "compare"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """What comes of all answers."""

    rows: tuple[Row, ...]
    problems: tuple[Problem, ...]
    notes: tuple[str, ...] = ()


def compare(
    *, plan: RunPlan, answers: Sequence[Answer], asked: Inquiry, reached_by: str | None, seconds: float
) -> Compared:
    """reached_by: `ssh`, `srun`; None for this machine itself. seconds: how long answers were waited for."""
    findings: list[Finding | None] = []
    if reached_by is not None:
        findings.append(reaching(answers, name=reached_by, seconds=seconds))
    findings += [*software(plan, answers), devices(plan, answers)]
    if not asked.cheap:
        findings += [device_memory(plan, answers), compiler(plan, answers)]
    findings += [script(plan, answers), data(plan, answers), *run_folders(plan, answers)]
    if not asked.cheap:
        findings += [shared_memory(answers), limits(answers)]
    notes: tuple[str, ...] = ()
    if reached_by is not None:
        findings.append(clocks(answers))
    if len(answers) > 1:
        findings += [main_address(asked.main_address, answers), interfaces(plan, answers)]
        notes = set_interfaces(plan, answers)
    if len(answers) > 1 or asked.port_written:
        findings.append(port(asked.port, asked.main_address, answers, written=asked.port_written))
    found = [finding for finding in findings if finding is not None]
    return Compared(
        rows=tuple(each.row for each in found),
        problems=(*(problem for each in found for problem in each.problems), *unanswered(answers)),
        notes=notes,
    )
