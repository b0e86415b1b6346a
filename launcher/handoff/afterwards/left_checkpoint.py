"""The checkpoint that a run has left."""

from __future__ import annotations

from pathlib import Path

from batchwright_witness.checkpoints import checkpoint_folders, latest_checkpoint
from launcher.errors import Problem
from launcher.spec.plan import RunPlan

__all__ = ["left_checkpoint", "no_checkpoint"]


def left_checkpoint(directory: Path, *, plan: RunPlan, started: float) -> str | None:
    """Path of the newest checkpoint that was written since a run began (seconds since the epoch); None without one.

    checkpoint.directory lies in the run folder, or where the script works; older ones there are of other runs.
    """
    for beside in (directory, Path(plan.launch.workdir)):
        folders = checkpoint_folders(plan.checkpoint, beside)
        newest = latest_checkpoint(folders, before=None)
        if newest is not None and newest != latest_checkpoint(folders, before=started):
            return newest
    return None


def no_checkpoint(plan: RunPlan, *, what: str) -> Problem:
    """What is said where there is none."""
    directory = (plan.checkpoint or {}).get("directory")
    where = (
        f"in `{directory}` of its run folder or of the script's" if directory else "that its recipe knows of"
    )
    return Problem(
        code="checkpoint-not-found",
        message=f"{what} has left no checkpoint {where}",
        hint="let the script save to checkpoint.directory at its last step, where step.is_last",
    )
