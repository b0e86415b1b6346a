"""What a self-test found, as a person reads it: two gradients, their ratio, and what it means."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from launcher.reporting.columns import table, wrapped
from launcher.reporting.run_text import show_duration
from launcher.spec.plain import to_plain

__all__ = ["SelfTestResult", "SplitGradient", "selftest_text"]

_HEADER = ("micro", "accumulation", "gradient norm", "seconds")
_MORE = "docs/explanation/accumulation.md has the factor for each engine"


@dataclass(frozen=True, slots=True, kw_only=True)
class SplitGradient:
    """One way to cut the global batch, and the gradient that came of it."""

    micro_batch_size: int
    gradient_accumulation_steps: int
    gradient_norm: float
    """Of the first optimizer step, before clipping."""
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class SelfTestResult:
    """One self-test."""

    verdict: Literal["passed", "failed", "unclear", "not tested"]
    where: str
    splits: tuple[SplitGradient, ...] = ()
    ratio: float | None = None
    """Gradient norm of the plan's own split to that of the other one; 1 where the gradient does not depend on it."""
    tolerance: float | None = None
    precision: str
    words: str = ""
    """What the ratio means, or why there is none."""
    notes: tuple[str, ...] = ()
    seconds: float

    def to_dict(self) -> dict[str, Any]:
        """Plain values."""
        plain: dict[str, Any] = to_plain(self)
        return plain


def selftest_text(found: SelfTestResult) -> list[str]:
    """The two splits, the ratio, the words, and the answer in the last line."""
    lines = [found.where]
    if found.splits:
        rows = [
            (
                str(each.micro_batch_size),
                str(each.gradient_accumulation_steps),
                f"{each.gradient_norm:.8g}",
                f"{each.seconds:.1f}",
            )
            for each in found.splits
        ]
        lines += ["", *table(_HEADER, rows)]
    if found.ratio is not None:
        lines.append(
            f"ratio {found.ratio:.6f}; it should be 1.000 within {found.tolerance:g} ({found.precision})"
        )
    lines.append("")
    if found.words:
        lines += wrapped(f"{found.verdict}: {found.words}", width=100, hang=2)
    if found.verdict == "failed":
        lines.append(f"  {_MORE}")
    for note in found.notes:
        lines += wrapped(f"note: {note}", width=100, hang=2)
    took = show_duration(found.seconds)
    return [*lines, f"{found.verdict} {'in' if found.verdict == 'passed' else 'after'} {took}"]
