"""How a module of the person's own is built to be measured: what trace and sharpness have in common."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from launcher.planning.memory.setting import Setting
    from launcher.spec.recipe import Recipe

__all__ = ["setting_here"]


def setting_here(recipe: Recipe, environ: Mapping[str, str]) -> Setting:
    """How the recipe trains on its cluster, as the plan sees it; micro-batch 8 at most where it is left to the plan."""
    from launcher.discovery.machine import this_machine
    from launcher.errors import PlanError
    from launcher.planning.layout import solve_layout
    from launcher.planning.memory.from_recipe import setting_of
    from launcher.planning.optimizer import precision_plan
    from launcher.spec.cluster import Cluster
    from launcher.spec.marks import Origin

    cluster = recipe.cluster if isinstance(recipe.cluster, Cluster) else this_machine(environ=environ)
    solved = solve_layout(recipe=recipe, cluster=cluster, cluster_origin=Origin(origin="recipe"))
    if solved.value is None:
        raise PlanError(solved.problems)
    written = recipe.micro_batch_size
    return setting_of(
        recipe=recipe,
        layout=solved.value,
        precision=precision_plan(recipe=recipe, layout=solved.value),
        num_parameters=None,
        micro_batch_size=min(8, recipe.global_batch_size or 8) if written == "auto" else written,
        gradient_accumulation_steps=1,
    )
