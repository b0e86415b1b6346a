"""What a checkpoint says of the run, and whether this plan may go on from it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from launcher.errors import Problem, WorldError
from launcher.planning.learning_rate import learning_rate_at
from launcher.spec.plan import RunPlan

__all__ = ["read_state", "refuse_difference", "state_of"]


def state_of(
    plan: RunPlan, *, samples: int, steps: int, num_samples: int | None, factors: Sequence[float]
) -> dict[str, Any]:
    """Plain values; nothing in it depends on how the global batch is split."""
    return {
        "samples": samples,
        "steps": steps,
        "num_samples": num_samples,
        "factors": list(factors),
        "semantics_hash": plan.semantics_hash,
        "learning_rate": _rate(plan, samples),
    }


def read_state(plan: RunPlan, state: Mapping[str, Any]) -> Mapping[str, Any]:
    """The state of state_of, if this plan means the same training. Raises WorldError[resume-differs]."""
    samples = state["samples"]
    planned = {"semantics_hash": plan.semantics_hash, "learning_rate": _rate(plan, samples)}
    for name, value in planned.items():
        refuse_difference(name, planned=value, found=state[name], samples=samples)
    return state


def refuse_difference(name: str, *, planned: Any, found: Any, samples: int) -> None:
    """Raises WorldError[resume-differs] unless plan and checkpoint agree on one value."""
    if planned == found:
        return
    message = f"the checkpoint at {samples} samples has {name} {_short(found)}, planned is {_short(planned)}"
    raise WorldError(
        [Problem(code="resume-differs", message=message, hint="resume with the recipe it was trained with")]
    )


def _short(value: Any) -> Any:
    return value[:12] if isinstance(value, str) else value


def _rate(plan: RunPlan, samples: int) -> float | None:
    rates = plan.learning_rate
    return None if rates is None else learning_rate_at(schedule=rates.schedule, samples=samples)
