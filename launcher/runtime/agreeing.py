"""All ranks, and the checkpoint, draw from a dataset of one length: another length is another order."""

from __future__ import annotations

from launcher.errors import Problem, WorldError
from launcher.runtime.handshake import meet
from launcher.runtime.state import refuse_difference
from launcher.spec.plan import RunPlan

__all__ = ["agree_on_samples"]


def agree_on_samples(
    plan: RunPlan, *, rank: int, world_size: int, here: int, saved: int | None, samples: int
) -> int:
    """Samples of one epoch, as this rank, all others and a checkpoint taken after `samples` have them.

    Of the longest length, where stages change it: chunks of the stream.
    here: what this rank's dataset says. saved: what the checkpoint says, None without one.
    Raises WorldError[resume-differs], [world-differs].
    """
    if saved is not None:
        refuse_difference("num_samples", planned=here, found=saved, samples=samples)
    meeting = meet(rank, world_size)
    if meeting is None:
        return here
    said, absent = meeting.exchange(here, seconds=plan.launch.handshake_seconds)
    if absent or len(set(said)) > 1:
        found = ", ".join(f"{number} on rank {other}" for other, number in enumerate(said))
        message = f"planned one dataset on all ranks, found lengths {found}"
        hint = "give every rank the same data, and call run.steps on every rank"
        raise WorldError([Problem(code="world-differs", message=message, hint=hint)])
    return here
