"""What a checkpoint says of the run, and whether this plan may go on from it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from launcher.errors import Problem, WorldError
from launcher.planning.stages.ledger import rate_at, tokens_after
from launcher.planning.stream import carries_state
from launcher.runtime.scaling_record import refuse_other_scaling, scaling_of
from launcher.runtime.seen_split import refuse_another_model, seen_split
from launcher.spec.plan import RunPlan

__all__ = ["read_state", "refuse_difference", "state_of"]


def state_of(
    plan: RunPlan, *, samples: int, steps: int, num_samples: int | None, factors: Sequence[float]
) -> dict[str, Any]:
    """Plain values; nothing in it depends on how the global batch is split, unless the model carries its state."""
    return {
        "samples": samples,
        "tokens": tokens_after(plan, samples),
        "steps": steps,
        "num_samples": num_samples,
        "factors": list(factors),
        "semantics_hash": plan.semantics_hash,
        "learning_rate": rate_at(plan, samples),
        "scaling": scaling_of(plan),
        **({"split": _split(plan)} if carries_state(plan.model) else {}),
        **({"seen_split": seen} if (seen := seen_split(plan, samples=samples)) else {}),
    }


def read_state(plan: RunPlan, state: Mapping[str, Any]) -> Mapping[str, Any]:
    """The state of state_of, if this plan means the same training. Raises WorldError[resume-differs]."""
    samples = state["samples"]
    refuse_other_scaling(plan, state)
    refuse_another_model(plan, state)
    if "split" in state:
        name, hint = "carried state of micro x accumulation x ranks", "resume it on the same split"
        refuse_difference(name, planned=_split(plan), found=state["split"], samples=samples, hint=hint)
    planned = {"semantics_hash": plan.semantics_hash, "learning_rate": rate_at(plan, samples)}
    if state.get("tokens") is not None:
        planned["tokens"] = tokens_after(plan, samples)
    for name, value in planned.items():
        refuse_difference(name, planned=value, found=state[name], samples=samples)
    return state


def refuse_difference(
    name: str,
    *,
    planned: Any,
    found: Any,
    samples: int,
    hint: str = "resume with the recipe it was trained with",
) -> None:
    """Raises WorldError[resume-differs] unless plan and checkpoint agree on one value."""
    if planned == found:
        return
    message = f"the checkpoint at {samples} samples has {name} {_short(found)}, planned is {_short(planned)}"
    raise WorldError([Problem(code="resume-differs", message=message, hint=hint)])


def _short(value: Any) -> Any:
    return value[:12] if isinstance(value, str) else value


def _split(plan: RunPlan) -> str:
    """Where the state of each slot of the batch lies."""
    batch = plan.batch
    return f"{batch.micro_batch_size}x{batch.gradient_accumulation_steps}x{batch.data_parallel_size}"
