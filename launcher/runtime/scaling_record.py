"""What a checkpoint keeps of how its learning rate was scaled, so that no resumed run scales it again."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from launcher.errors import Problem, WorldError
from launcher.spec.plan import RunPlan

__all__ = ["refuse_other_scaling", "scaling_of"]


def scaling_of(plan: RunPlan) -> dict[str, Any] | None:
    """Rule, reference and scale as plain values; None where no learning rate is planned."""
    rates = plan.learning_rate
    if rates is None:
        return None
    return {
        "rule": rates.scaling_rule,
        "reference_learning_rate": rates.reference_learning_rate,
        "reference_batch": rates.reference_batch,
        "reference_unit": rates.reference_unit,
        "scale": rates.scale,
        "peak_learning_rate": rates.peak_learning_rate,
    }


def refuse_other_scaling(plan: RunPlan, state: Mapping[str, Any]) -> None:
    """Raises WorldError[resume-differs] where a checkpoint's rate came about in another way than the plan's."""
    found, planned = state.get("scaling"), scaling_of(plan)
    if found is None or planned is None or _alike(found, planned):
        return
    raise WorldError(
        [
            Problem(
                code="resume-differs",
                message=f"the checkpoint at {state['samples']} samples was trained with {_in_words(found)}, planned is "
                f"{_in_words(planned)}",
                because=(
                    "a run keeps the scaling it began with; going on with another would scale it twice",
                ),
                hint="resume with the recipe it was trained with",
            )
        ]
    )


def _alike(found: Mapping[str, Any], planned: Mapping[str, Any]) -> bool:
    """Numbers are computed, and a machine may round the last bit otherwise."""
    computed = ("scale", "peak_learning_rate")
    return all(
        math.isclose(found[name], value, rel_tol=1e-9) if name in computed else found.get(name) == value
        for name, value in planned.items()
    )


def _in_words(scaling: Mapping[str, Any]) -> str:
    """`0.002 = 0.001 (at 256 sequences) x 2 by sqrt`."""
    peak = f"a learning rate of {scaling['peak_learning_rate']:g}"
    if scaling["reference_learning_rate"] is None:
        return f"{peak} as written"
    unit = "tokens" if scaling["reference_unit"] == "tokens" else "sequences"
    reference = f"{scaling['reference_learning_rate']:g} (at {scaling['reference_batch']} {unit})"
    return f"{peak} = {reference} x {scaling['scale']:.6g} by {scaling['rule']}"
