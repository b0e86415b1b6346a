"""What `check --locked` finds: recipes against their locks, or against the locks of a git revision."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from launcher.errors import Problem

__all__ = ["LockFinding", "locked_findings"]


class LockFinding(NamedTuple):
    """What was found of one recipe and its locks."""

    recipe: str
    """As the person named it, or as it lies below what was named; the lock itself where its recipe is gone."""
    problems: tuple[Problem, ...]
    lines: tuple[str, ...]
    """The difference in words, as `batchwright diff` prints it; empty where there is none."""


def locked_findings(
    paths: Sequence[str],  # noqa: ARG001
    *,
    against: str | None,  # noqa: ARG001
    allow_moved: bool,  # noqa: ARG001
    environ: Mapping[str, str],  # noqa: ARG001
) -> tuple[LockFinding, ...]:
    """One finding per recipe below the paths (files or folders), in their order; none is dropped.

    against: a git revision whose locks and recipes are the reference; the locks that lie beside the recipes when None.
    allow_moved: a moved meaning is a warning, not an error. Raises LauncherError where the revision cannot be read.
    """
    return ()
