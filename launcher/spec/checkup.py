"""What an examination of the hosts found: a table of checks, the problems, and a short collective."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from launcher.errors import Problem

__all__ = ["Cell", "Checkup", "Collective", "HostRate", "Row"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """One check on one host."""

    found: str
    """What was found, in few words; `-` for what could not be asked."""
    state: Literal["ok", "note", "bad", "unknown"] = "ok"
    why: str = ""
    """What is not as it should be."""
    amount: float | None = None
    """The number behind what was found, where hosts that are alike measure differently."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One check on all hosts, in their order."""

    name: str
    cells: tuple[Cell, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class HostRate:
    """What the short collective measured on one host."""

    host: str
    ranks: int
    seconds: float
    """Of one all-reduce over all ranks, the host's slowest."""
    within: float | None
    """Bytes per second of an all-reduce between the host's own ranks (2(n-1)/n x bytes / seconds); None for one."""
    between: float | None
    """Bytes per second to a neighbouring host, the better of two neighbours; None on a single host."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Collective:
    """A short all-reduce through the plan's engine."""

    world_size: int
    backend: str
    engine: str
    tensor_bytes: int
    seconds: float
    """From the command to its end."""
    hosts: tuple[HostRate, ...]
    slowest: str | None
    """Host that lets the others wait; None on a single one, and where none stands out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkup:
    """All of it; `batchwright doctor --json` prints it."""

    recipe_name: str
    plan_hash: str
    executor: str
    hosts: tuple[str, ...]
    rows: tuple[Row, ...]
    problems: tuple[Problem, ...]
    notes: tuple[str, ...] = ()
    """What is set or left out, and why."""
    collective: Collective | None = None
    seconds: float = 0.0
    facts: Mapping[str, Any] | None = None
    """By host, as the host said them."""

    @property
    def ok(self) -> bool:
        return not any(problem.severity == "error" for problem in self.problems)

    def to_dict(self) -> dict[str, Any]:
        """One object; names of checks and hosts as in the table."""
        from launcher.spec.plain import to_plain

        checks = {
            row.name: {
                host: {"found": cell.found, "state": cell.state, "why": cell.why or None}
                for host, cell in zip(self.hosts, row.cells, strict=True)
            }
            for row in self.rows
        }
        return {
            "doctor_version": 1,
            "recipe_name": self.recipe_name,
            "plan_hash": self.plan_hash,
            "executor": self.executor,
            "ok": self.ok,
            "hosts": list(self.hosts),
            "checks": checks,
            "problems": to_plain(self.problems),
            "notes": list(self.notes),
            "collective": to_plain(self.collective),
            "seconds": round(self.seconds, 3),
            "facts": to_plain(self.facts or {}),
        }
