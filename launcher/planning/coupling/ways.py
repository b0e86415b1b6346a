"""Whether a way out keeps a batch-coupled model, and what to say where it does not."""

from __future__ import annotations

from collections.abc import Sequence

from launcher.planning.coupling.batch_norm import statistics_size
from launcher.spec.plan import BatchPlan

__all__ = ["change_of_model", "without_kept_model"]

_OF_THE_MODEL = ("model", "gradient", "the exact gradient")
_SEE_ALL_RANKS = frozenset({"sync_batch_norm"})
_SEE_ONE_RANK = frozenset({"batch_norm", "contrastive", "moe_auxiliary", "moe_capacity"})


def change_of_model(*, coupled: Sequence[str], before: BatchPlan, after: BatchPlan) -> str:
    """What another split makes of the model, in words; empty where nothing in it can tell the two apart.

    A layer that only this recipe's author knows is taken to depend on micro-batch and ranks.
    """
    for name in coupled:
        size, other = (
            (batch.micro_batch_size, batch.data_parallel_size, batch.idle_slots > 0)
            for batch in (before, after)
        )
        if name in _SEE_ONE_RANK:
            size, other = (size[0], 1, size[2]), (other[0], 1, other[2])
        elif name in _SEE_ALL_RANKS:
            size, other = (size[0] * size[1], 1, size[2]), (other[0] * other[1], 1, other[2])
        if size != other:
            return f"the model: {name} {_seen(name, before, after)}"
    return ""


def without_kept_model(keeps: tuple[str, ...]) -> tuple[str, ...]:
    """What is still kept where the model is another."""
    return tuple(word for word in keeps if word not in _OF_THE_MODEL)


def _seen(name: str, before: BatchPlan, after: BatchPlan) -> str:
    sizes = []
    for batch in (before, after):
        size = statistics_size(
            coupled=(name,),
            micro_batch_size=batch.micro_batch_size,
            data_parallel_size=batch.data_parallel_size,
        )
        sizes.append(batch.micro_batch_size if size is None else size)
    if sizes[0] == sizes[1]:
        if after.idle_slots:
            return f"also sees {after.idle_slots} idle slots"
        return f"sees {after.data_parallel_size} ranks instead of {before.data_parallel_size}"
    return f"sees {sizes[1]} samples instead of {sizes[0]}"
