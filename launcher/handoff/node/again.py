"""A start that is not the first: a Slurm job that was put back, or a later one of a chain, goes on where it was."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from launcher.spec.bundle import RUN_DIR
from launcher.spec.plan import RunPlan

__all__ = ["is_restart", "resume_words"]

_COUNTS = ("SLURM_RESTART_COUNT", "SLURM_ARRAY_TASK_ID")


def is_restart(environ: Mapping[str, str]) -> bool:
    """Whether the scheduler started this job before."""
    return any(environ.get(name, "").isdecimal() and int(environ[name]) > 0 for name in _COUNTS)


def resume_words(plan: RunPlan, *, workdir: str, run: Path) -> Sequence[str] | None:
    """Further arguments for the script, with the newest checkpoint filled in; None where there is none yet."""
    from launcher.handoff.trials.rehearsal import latest_checkpoint
    from launcher.planning.placeholders import (
        ACCELERATE_FILE,
        DEEPSPEED_FILE,
        fill,
        placeholder_values,
    )

    directory = Path(workdir, str((plan.checkpoint or {}).get("directory") or "checkpoints"))
    found = latest_checkpoint(directory)
    if found is None:
        return None
    files = tuple(name for name in (DEEPSPEED_FILE, ACCELERATE_FILE) if (run / name).exists())
    values = {**placeholder_values(plan, files=files), "latest_checkpoint": str(found)}
    words = (fill(text, values, path="resume.args").text for text in plan.launch.resume_args)
    return [word.replace(RUN_DIR, str(run)) for word in words]
