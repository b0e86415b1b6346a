"""Recipes by hand for tests of the planner: the three numbers, and whatever a test adds."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

from launcher.errors import PlanError, Problem
from launcher.planning.plan import make_plan
from launcher.spec.cluster import Cluster
from launcher.spec.marks import Origin
from launcher.spec.plan import RunPlan
from launcher.spec.recipe import Recipe
from launcher.units import Amount, parse_amount

__all__ = [
    "amount",
    "changed",
    "codes",
    "count",
    "errors",
    "only",
    "plan_of",
    "recipe_of",
    "refusal_of",
    "severities",
]


def amount(text: str) -> Amount:
    """A length or share, `2000 steps` or `3 %`."""
    return parse_amount(text, kind="length or share")


def count(text: str) -> Amount:
    """A number without a unit, `300B`."""
    return parse_amount(text, kind="count")


def recipe_of(*, nodes: int = 1, devices: int | None = 1, device: str | None = None, **keys) -> Recipe:
    """The three numbers with other keys on nodes x devices."""
    keys.setdefault("cluster", Cluster(nodes=nodes, devices_per_node=devices, device=device))
    numbers = {"sequence_length": 1024, "hidden_size": 768}
    if "global_batch_tokens" not in keys:
        numbers["global_batch_size"] = 256
    return Recipe(**{**numbers, **keys})


def plan_of(recipe: Recipe | None = None, **keys) -> RunPlan:
    """The plan of a recipe, or of recipe_of(**keys)."""
    recipe = recipe or recipe_of(**keys)
    cluster = recipe.cluster or Cluster(devices_per_node=2, device="cpu")
    return make_plan(
        recipe=recipe, cluster=cluster, cluster_origin=Origin(origin="derived", formula="this machine")
    )


def refusal_of(recipe: Recipe | None = None, **keys) -> PlanError:
    """The refusal of a recipe that has no plan."""
    try:
        plan = plan_of(recipe, **keys)
    except PlanError as error:
        return error
    raise AssertionError(f"was planned: {plan.batch}")


def codes(found: RunPlan | PlanError) -> list[str]:
    """Codes of all problems, in order."""
    return [problem.code for problem in found.problems]


def errors(found: RunPlan | PlanError) -> list[str]:
    """Codes of the problems that refuse."""
    return [problem.code for problem in found.problems if problem.severity == "error"]


def severities(found: RunPlan | PlanError) -> dict[str, str]:
    """Severity of each code."""
    return {problem.code: problem.severity for problem in found.problems}


def only(found: RunPlan | PlanError, code: str) -> Problem:
    """The one problem of a code."""
    (problem,) = [problem for problem in found.problems if problem.code == code]
    return problem


def changed(recipe: Recipe, change: str) -> Recipe:
    """The recipe under an alternative's `path=value path=value`, on the cluster it is given."""
    cluster = recipe.cluster
    for word in change.split():
        path, _, value = word.partition("=")
        if path == "cluster.devices":
            cluster = replace(cluster, devices=tuple(int(number) for number in value.strip("[]").split(",")))
        elif path == "cluster.device":
            cluster = replace(cluster, device=value)
        elif path.startswith("cluster."):
            cluster = replace(cluster, **{path.removeprefix("cluster."): int(value)})
        elif path == "launch.runtime":
            recipe = replace(recipe, launch=replace(recipe.launch, runtime=value == "true"))
        elif path == "global_batch_tokens":
            recipe = replace(recipe, global_batch_tokens=Amount(number=Fraction(value), unit="", text=value))
        else:
            recipe = replace(recipe, **{path: value if value == "auto" else int(value)})
    return replace(recipe, cluster=cluster)
