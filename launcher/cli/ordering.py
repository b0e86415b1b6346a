"""From a recipe to an order that can be handed off; `render` and `run` share it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from launcher.cli.surroundings import Surroundings

if TYPE_CHECKING:
    from collections.abc import Sequence

    from launcher.errors import Problem
    from launcher.handoff.order import Order
    from launcher.spec.plan import RunPlan
    from launcher.spec.recipe import Recipe

__all__ = ["handed_over", "located", "make_order", "warn"]


def make_order(recipe: Recipe, around: Surroundings, *, measured: bool = True) -> Order:
    """Planned, rendered and read back. Raises LauncherError.

    measured: whether what a probe found counts in the plan.
    """
    from launcher.api import plan, render
    from launcher.discovery.plugins import find_plugin
    from launcher.handoff.order import Order

    result = plan(recipe, environ=around.environ, measured=measured)
    bundle = render(recipe, result)
    return Order(
        plan=result,
        bundle=bundle,
        recipe_text=recipe.source,
        asked=around.argv,
        requirements=tuple(find_plugin("launcher.engines", result.launch.engine).requirements),
        environ=around.environ,
        beside=around.beside,
    )


def handed_over(order: Order) -> Order:
    """The same job, submitted and left to itself. Raises HandoffError where nothing takes it over."""
    from launcher.errors import HandoffError, Problem

    bundle = order.bundle
    if not bundle.attached:
        return order
    if not bundle.detached:
        executor = order.plan.launch.executor
        where = "inside a Slurm job" if order.plan.launch.allocation is not None else f"over {executor}"
        problem = Problem(
            code="executor-cannot",
            path="launch.executor",
            message=f"`--detach`: a job that is started {where} lives as long as what started it",
            hint="leave --detach out, or use slurm or kubernetes from a login node",
        )
        raise HandoffError([problem])
    return replace(order, bundle=replace(bundle, commands=bundle.detached, attached=False))


def warn(problems: Sequence[Problem], around: Surroundings) -> None:
    """What is legal and may still not be meant, on stderr before anything else happens."""
    for problem in problems:
        if problem.severity == "warning":
            around.tell(f"warning: {problem}")


def refuse_what_does_not_fit(plan: RunPlan) -> None:
    """An hour in the queue and a minute of loading, to end out of memory, is refused here."""
    from launcher.errors import PlanError

    if plan.verdict != "does-not-fit":
        return
    problems = [replace(each, severity="error") for each in plan.problems if each.code == "does-not-fit"]
    raise PlanError(problems, alternatives=plan.alternatives, plan=plan.to_dict())


def located(problems: Sequence[Problem], recipe: Recipe) -> tuple[Problem, ...]:
    """With `file:line:col` of what the person wrote."""
    from launcher.loading import locate

    return locate(problems, recipe)
