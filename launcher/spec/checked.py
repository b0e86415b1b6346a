"""What a check of a repository's files found: file by file, every problem at the file in which it stands."""

from dataclasses import dataclass
from typing import Literal

from launcher.errors import Problem
from launcher.spec.cluster import Cluster
from launcher.spec.plan import RunPlan

__all__ = ["Checked", "CheckedFile", "OnCluster"]


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckedFile:
    """One file, and what was found in it."""

    path: str
    kind: Literal["recipe", "cluster", "catalog", "other"]
    """other: named by a recipe, or by nobody."""
    problems: tuple[Problem, ...] = ()
    plan: RunPlan | None = None
    """Of a recipe for which there is one."""
    cluster: Cluster | None = None
    """Of a cluster file that could be read."""
    lines: tuple[str, ...] = ()
    """What has moved since it was locked, in words."""

    def count(self, severity: str) -> int:
        """How many of its problems are errors, warnings or notes."""
        return sum(problem.severity == severity for problem in self.problems)


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """All files of a check."""

    files: tuple[CheckedFile, ...]
    skipped: tuple[str, ...] = ()
    """Other YAML files, which were not looked at."""

    def count(self, severity: str) -> int:
        """How many problems are errors, warnings or notes."""
        return sum(file.count(severity) for file in self.files)

    @property
    def bad_files(self) -> int:
        """How many files have an error or a warning."""
        return sum(bool(file.path) for file in self.files if file.count("error") or file.count("warning"))

    def number(self, kind: str) -> int:
        """How many files are of a kind."""
        return sum(file.kind == kind for file in self.files)


@dataclass(frozen=True, slots=True, kw_only=True)
class OnCluster:
    """One recipe on the machines of one cluster file."""

    cluster: str
    """Path of the file."""
    plan: RunPlan | None
    """None where the recipe is refused there."""
    problems: tuple[Problem, ...] = ()
