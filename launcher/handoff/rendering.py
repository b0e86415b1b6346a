"""A bundle written to a folder that a person named: theirs stays, ours is replaced."""

from __future__ import annotations

import json
from pathlib import Path

from launcher.errors import HandoffError, Problem
from launcher.executors.formats.bundle_papers import MANIFEST, bundle_papers
from launcher.handoff.files import write_atomically
from launcher.spec.bundle import LaunchBundle
from launcher.spec.plan import RunPlan

__all__ = ["write_bundle"]


def write_bundle(
    *, plan: RunPlan, bundle: LaunchBundle, directory: Path, python: str = "python3"
) -> LaunchBundle:
    """Writes the files and returns the bundle as it lies there. python: the job's interpreter on its nodes.

    Each file is replaced as a whole, so that several nodes may render into one shared folder at once; files of an
    earlier rendering that are no longer part are removed.
    Raises HandoffError[directory-not-empty] for a folder that holds anything but an earlier rendering.
    """
    target = directory.absolute()
    earlier = _earlier_files(target, shown=str(directory))
    placed = bundle.placed(str(target), python=python)
    papers = bundle_papers(plan=plan, bundle=bundle, placed=placed)
    target.mkdir(mode=0o700, parents=True, exist_ok=True)
    if placed.log is not None:
        # a scheduler writes into a folder that is there, or not at all
        (target / placed.log).parent.mkdir(mode=0o700, exist_ok=True)
    # the manifest first: whoever else renders into this folder now sees that it is one of ours
    for name, text in sorted(papers.items(), key=lambda item: item[0] != MANIFEST):
        write_atomically(target / name, text)
    for name in earlier - set(papers):
        (target / name).unlink(missing_ok=True)
    return placed


def _earlier_files(target: Path, *, shown: str) -> set[str]:
    """Names of our own files in the folder; refuses one that is somebody else's, or a run's."""
    if not target.exists() or (target.is_dir() and all(_is_draft(path) for path in target.iterdir())):
        return set()
    try:
        listed = set(json.loads((target / MANIFEST).read_text(encoding="utf-8"))["files"])
    except (OSError, ValueError, KeyError, TypeError):
        listed = set()
    if not listed or (target / "status.json").exists():
        what = "is the folder of a run" if listed else "holds something that no render has written"
        problem = Problem(
            code="directory-not-empty",
            message=f"`-o {shown}` {what}",
            hint="name a new folder, or one that batchwright render wrote",
        )
        raise HandoffError([problem])
    return {name for name in listed if (target / name).resolve().is_relative_to(target.resolve())}


def _is_draft(path: Path) -> bool:
    """A file that another rendering is just writing."""
    return path.name.startswith(f".{MANIFEST}.")
