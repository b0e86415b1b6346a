"""Where the numbers of each stage come from."""

from __future__ import annotations

from launcher.planning.origins import default, derived, written_or
from launcher.planning.scaling import rule_of
from launcher.planning.stages.parts import StagePart
from launcher.planning.stages.timeline import Leg
from launcher.spec.marks import Origin
from launcher.spec.plan import StagePlan
from launcher.spec.recipe import Recipe

__all__ = ["stage_origins"]


def stage_origins(
    *, recipe: Recipe, part: StagePart, leg: Leg, plan: StagePlan, place: int
) -> dict[str, Origin]:
    """Origins of one stage's numbers, by their paths in the plan."""
    prefix = f"stages.{place}"
    before = "the stages before" if place else "it is the first stage"
    own = {
        "until": written_or(recipe.marks, f"{part.stage.path}.until", _of_notation(recipe)),
        "first_step": derived(f"1 + {leg.steps_before} steps of {before}" if place else before),
        "steps": derived(_steps(part, leg, plan)),
        "samples_before": derived(before),
        "tokens_before": derived(before),
        "learning_rate_scale": _scale(recipe),
    }
    named = {f"{prefix}.{name}": origin for name, origin in own.items() if getattr(plan, name) is not None}
    return named | {f"{prefix}.{path}": origin for path, origin in part.origins.items()}


def _of_notation(recipe: Recipe) -> Origin:
    """Of a mark that stands in a step schedule, or that three numbers stand for."""
    return written_or(recipe.marks, "stages", default())


def _steps(part: StagePart, leg: Leg, plan: StagePlan) -> str:
    end = part.stage.end
    if end is None or leg.steps != plan.steps:
        return "up to the end of the run"
    amount, unit = end
    return f"ceil(({amount} - {leg.before(unit)}) / {leg.per_step(unit)})"


def _scale(recipe: Recipe) -> Origin:
    if recipe.optimizer.reference_learning_rate is None:
        return default("learning_rate is never scaled")
    return derived(f"{rule_of(recipe)} rule at this batch over that at the run's own")
