"""What a rehearsal found, as a person reads it: a table of planned and measured, and the answer in the last line."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from launcher.reporting.columns import table, wrapped
from launcher.reporting.run_text import show_duration
from launcher.spec.plain import to_plain

__all__ = ["RehearsalResult", "RehearsedPart", "Verdict", "rehearsal_text", "show_range", "show_size"]

Verdict = Literal["passed", "failed", "not rehearsed"]
_HEADER = ("", "planned", "measured", "verdict")
GIB, MIB = 2**30, 2**20


@dataclass(frozen=True, slots=True, kw_only=True)
class RehearsedPart:
    """One thing that a long run depends on."""

    name: str
    planned: str = "-"
    measured: str = "-"
    verdict: Verdict
    words: str = ""
    """Why it failed, why it was not rehearsed, or what else is worth knowing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RehearsalResult:
    """All parts of one rehearsal."""

    where: str
    """What was rehearsed, in words: ranks, nodes, engine, executor."""
    parts: tuple[RehearsedPart, ...]
    planned_peak_bytes: int | None
    peak_bytes: int | None
    """Of the rank that took most: on the device, or of the process on a CPU."""
    planned_host_bytes: int | None
    host_bytes: int | None
    """Of all processes of one node."""
    seconds: float
    folder: str | None
    """Where its run folders and checkpoints are kept; None: removed."""
    context: tuple[str, ...] = ()
    """The last lines of what a failed job printed."""

    @property
    def passed(self) -> bool:
        """Whether nothing failed."""
        return all(part.verdict != "failed" for part in self.parts)

    def to_dict(self) -> dict[str, Any]:
        """Plain values, the answer first."""
        plain: dict[str, Any] = to_plain(self)
        return {"passed": self.passed, **plain}


def rehearsal_text(found: RehearsalResult) -> list[str]:
    """The table, the words, and the answer in the last line."""
    rows = [(part.name, part.planned, part.measured, part.verdict) for part in found.parts]
    lines = [found.where, "", *table(_HEADER, rows), ""]
    for part in found.parts:
        if part.words:
            verdict = "note" if part.verdict == "passed" else part.verdict
            lines += wrapped(f"{verdict}: {part.name}: {part.words}", width=100, hang=2)
    lines += [f"  | {line}" for line in found.context]
    kept = f"; kept in {found.folder}" if found.folder else ""
    left_out = [part.name for part in found.parts if part.verdict == "not rehearsed"]
    failed = [part.name for part in found.parts if part.verdict == "failed"]
    if failed:
        return [*lines, f"failed after {show_duration(found.seconds)}: {', '.join(failed)}{kept}"]
    without = f", without {', '.join(left_out)}" if left_out else ""
    return [*lines, f"passed in {show_duration(found.seconds)}{without}{kept}"]


def show_size(size: int) -> str:
    """Bytes as GiB or MiB (powers of 2)."""
    return f"{size / GIB:.2f} GiB" if size >= GIB else f"{size / MIB:.{0 if size >= 100 * MIB else 1}f} MiB"


def show_range(expected: int, low: int, high: int) -> str:
    """Bytes and their range, all in one unit: `300 (220 to 600) MiB`."""
    if expected >= GIB:
        return f"{expected / GIB:.2f} ({low / GIB:.2f} to {high / GIB:.2f}) GiB"
    return f"{expected / MIB:.0f} ({low / MIB:.0f} to {high / MIB:.0f}) MiB"
