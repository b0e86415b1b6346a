"""What a check makes of all answers: a row of the table, and problems. Pure, as is every module that compares."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from launcher.errors import Problem
from launcher.handoff.doctor.answers import Answer
from launcher.spec.checkup import Cell, Row

__all__ = ["Finding", "named", "row", "unanswered"]

_MOST = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """Of one check."""

    row: Row
    problems: tuple[Problem, ...] = ()


def row(name: str, answers: Sequence[Answer], check: str, cell: Callable[[Answer, Any], Cell]) -> Row:
    """A row of what one check found; a host that said nothing of it has `-`, or `?` where the check failed."""

    def of(answer: Answer) -> Cell:
        if not answer.facts or check not in answer.facts:
            failed = check in (answer.of("failed") or {})
            return Cell(found="?" if failed else "-", state="unknown", why="no answer" if failed else "")
        return cell(answer, answer.of(check))

    return Row(name=name, cells=tuple(of(answer) for answer in answers))


def named(hosts: Sequence[str]) -> str:
    """`node-a, node-b`, or the first few and how many more."""
    more = len(hosts) - _MOST
    return ", ".join(hosts[:_MOST]) + (f" and {more} more" if more > 0 else "")


def unanswered(answers: Sequence[Answer]) -> tuple[Problem, ...]:
    """One note for each check that found nothing out, with the hosts where it did not."""
    failed: dict[tuple[str, str], list[str]] = {}
    for answer in answers:
        for check, why in (answer.of("failed") or {}).items():
            failed.setdefault((check, why), []).append(answer.host)
    return tuple(
        Problem(
            code="check-unanswered",
            message=f"`{check}` on {named(hosts)}: {why}",
            severity="warning",
            hint="a file system or a driver that hangs? look at the host",
        )
        for (check, why), hosts in failed.items()
    )
