"""The value that every complaint is, and the exceptions that carry them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from launcher.errors.codes import CODES

__all__ = [
    "EngineError",
    "HandoffError",
    "LauncherError",
    "PlanError",
    "Problem",
    "RecipeError",
    "WorldError",
]

Severity = Literal["error", "warning", "note"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One complaint: a stable code, the dotted path of the value in the recipe, words, one hint.

    message: the value as written, then what was expected; lower case, no full stop.
    because: derived numbers with their formula, one per line under the message.
    where: `file:line:col` when the reader knows it; planning knows only `path`, the edge joins the two.
    """

    code: str
    message: str
    path: str = ""
    severity: Severity = "error"
    where: str = ""
    because: tuple[str, ...] = ()
    hint: str = ""

    def __post_init__(self) -> None:
        assert self.code in CODES, f"no such code: {self.code}"

    def __str__(self) -> str:
        """The lines a person reads; the first one starts with the place when it is known."""
        place = f"{self.where}: " if self.where else ""
        lines = [f"{place}{self.message} [{self.code}]", *(f"  {line}" for line in self.because)]
        if self.hint:
            lines.append(f"  hint: {self.hint}")
        return "\n".join(lines)


class LauncherError(ValueError):
    """Base of everything a person can cause; `problems` holds all that was found, in order."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(str(problem) for problem in self.problems))


class RecipeError(LauncherError):
    """A recipe cannot be read, or does not fit the schema."""


class PlanError(LauncherError):
    """A well-formed recipe for which no plan exists; `alternatives` are ranked, best first."""

    def __init__(
        self,
        problems: Iterable[Problem],
        *,
        alternatives: Iterable[Any] = (),
        plan: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(problems)
        self.alternatives = tuple(alternatives)
        self._plan = dict(plan or {})

    def to_dict(self) -> dict[str, Any]:
        """The plan object with verdict `refused`, as `batchwright plan --json` prints it."""
        return dict(self._plan)


class EngineError(LauncherError):
    """An engine or executor is unknown, clashing, broken, or cannot express this plan."""


class HandoffError(LauncherError):
    """A file, process or host failed."""


class WorldError(LauncherError):
    """The job that runs is not the job that was planned."""
