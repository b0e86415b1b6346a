"""A checkpoint of a model that looks at the split of its batch goes on with that split, or not at all."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from launcher.errors import Problem, WorldError
from launcher.planning.stages.ledger import stage_with
from launcher.spec.plan import RunPlan

__all__ = ["refuse_another_model", "seen_split"]


def seen_split(plan: RunPlan, *, samples: int = 0) -> dict[str, Any]:
    """Micro-batch and ranks as a checkpoint keeps them; empty where nothing in the model depends on them.

    samples: consumed so far; those of the stage that goes on from there.
    """
    seers = _seers(plan)
    if not seers:
        return {}
    batch = stage_with(plan, samples).batch
    return {"micro_batch_size": batch.micro_batch_size, "ranks": batch.data_parallel_size, "seen_by": seers}


def refuse_another_model(plan: RunPlan, state: Mapping[str, Any]) -> None:
    """Raises WorldError[resume-differs] where the split is another and the model depends on it."""
    found, planned = state.get("seen_split") or {}, seen_split(plan, samples=state["samples"])
    if not (found and planned) or all(found[name] == planned[name] for name in ("micro_batch_size", "ranks")):
        return
    seers = ", ".join(planned["seen_by"])
    message = (
        f"the checkpoint at {state['samples']} samples was trained with micro-batch {found['micro_batch_size']} on "
        f"{found['ranks']} data-parallel ranks, planned is {planned['micro_batch_size']} on {planned['ranks']}: "
        f"the model depends on it ({seers}), so this is another model"
    )
    hint = (
        f"resume with micro_batch_size: {found['micro_batch_size']} on {found['ranks']} data-parallel ranks"
    )
    raise WorldError([Problem(code="resume-differs", message=message, hint=hint)])


def _seers(plan: RunPlan) -> list[str]:
    dropout = plan.model.dropout or plan.model.others.get("attention_dropout")
    return [*plan.model.batch_coupled, *(["dropout"] if dropout else [])]
