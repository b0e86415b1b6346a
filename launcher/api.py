"""The one way from recipe to plan to bundle; command line, tests and other people's Python all come through here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from os import PathLike
from typing import TYPE_CHECKING, Any, NamedTuple

from launcher.errors import EngineError, LauncherError, PlanError

if TYPE_CHECKING:
    from launcher.errors import Problem
    from launcher.spec.bundle import LaunchBundle
    from launcher.spec.cluster import Cluster
    from launcher.spec.marks import Origin
    from launcher.spec.plan import RunPlan
    from launcher.spec.recipe import Recipe

__all__ = ["Examined", "examine", "load_recipe", "machine_remarks", "plan", "render", "usable_bytes"]

_ROUNDS = 8
"""Times that planning starts anew without what it complained about; each of them is a few milliseconds."""


class Examined(NamedTuple):
    """A recipe that was read, planned and rendered as far as that goes, and all that is wrong with it."""

    recipe: Recipe | None
    """None where there are no keys to read; without the faulty ones where some are."""
    plan: RunPlan | None
    """None where an error stands in its way."""
    problems: tuple[Problem, ...]
    """Errors, warnings and notes in the order of the file; none is a mere consequence of another."""


def load_recipe(source: str | PathLike[str] | Mapping[str, Any], *, overrides: Sequence[str] = ()) -> Recipe:
    """A recipe from a file or a mapping; overrides are `path=value` as after `--set`. Raises RecipeError."""
    from launcher.loading import load_recipe as load

    return load(source, overrides=overrides)


def plan(
    recipe: Recipe, *, environ: Mapping[str, str] | None = None, measured: bool = True, traced: bool = True
) -> RunPlan:
    """The plan of a recipe, on its cluster or on this machine when it names none.

    environ: variables that tell which devices of this machine may be used; the process's own when None.
    measured: whether what `batchwright probe` left beside the recipe counts; else the memory model alone.
    traced: the same of `batchwright trace`, which says what is known of a module.
    Raises PlanError when no plan exists, EngineError when the engine or executor is unknown or broken.
    """
    from launcher.discovery.measurements import read_measurements
    from launcher.discovery.traces import read_traces
    from launcher.planning.plan import make_plan

    recipe = _read_beside(recipe, environ)
    cluster, origin = _machines(recipe, environ)
    if recipe.model.kind == "module" and traced:
        recipe = replace(recipe, traces=read_traces(recipe))
    try:
        result = make_plan(
            recipe=recipe,
            cluster=cluster,
            cluster_origin=origin,
            measurements=read_measurements(recipe) if measured else (),
        )
    except PlanError as error:
        located = _located(error.problems, recipe)
        raise PlanError(
            located,
            alternatives=error.alternatives,
            plan={**error.to_dict(), "problems": _plain(located)},
        ) from None
    problems = _located((*result.problems, *_plugin_problems(result)), recipe)
    result = replace(result, problems=problems)
    if any(problem.severity == "error" for problem in problems):
        refused = replace(result, verdict="refused")
        raise PlanError(problems, plan=refused.to_dict())
    return result


def examine(
    source: str | PathLike[str] | Mapping[str, Any],
    *,
    overrides: Sequence[str] = (),
    environ: Mapping[str, str] | None = None,
    rendered: bool = True,
) -> Examined:
    """Every problem of a recipe at once: of reading, of planning and of rendering, each at its place.

    What cannot be read or planned is set aside and the rest goes on; a problem that may only follow from what was set
    aside is left out. rendered: False leaves out what only rendering says; a recipe that has nothing to say of how it
    is started is not rendered anyway.
    """
    from launcher.loading import in_order, salvage_recipe
    from launcher.planning.consequences import is_own_fault
    from launcher.planning.setting_aside import set_aside

    try:
        salvaged = salvage_recipe(source, overrides=overrides)
    except LauncherError as error:
        return Examined(None, None, error.problems)
    recipe, lost, found = salvaged.recipe, salvaged.lost, list(salvaged.problems)
    result: RunPlan | None = None
    for _ in range(_ROUNDS):
        try:
            result = plan(recipe, environ=environ)
            new = (*result.problems, *(_render_problems(recipe, result) if rendered else ()))
        except LauncherError as error:
            new = error.problems
        found += [each for each in new if each not in found and is_own_fault(each, lost)]
        aside = set_aside(recipe, [each for each in new if each.severity == "error"], lost=lost)
        if result is not None or aside is None:
            break
        recipe, lost = aside
    refused = any(problem.severity == "error" for problem in found)
    return Examined(salvaged.recipe, None if refused else result, in_order(found, salvaged.recipe))


def usable_bytes(recipe: Recipe, plan: RunPlan, *, environ: Mapping[str, str] | None = None) -> int | None:
    """What the plan's job may take of one device, known or not what it needs; None where nobody knows the device."""
    from launcher.planning.memory.verdict import usable_bytes as usable

    return usable(layout=plan.layout, cluster=_machines(recipe, environ)[0])


def machine_remarks(
    recipe: Recipe, plan: RunPlan, *, environ: Mapping[str, str] | None = None
) -> tuple[Problem, ...]:
    """A note where the plan would be started here and this machine is not the recipe's cluster.

    Not part of the plan, which is the same wherever it is made.
    """
    from launcher.discovery.machine import machine_differs
    from launcher.spec.cluster import Cluster

    if (
        plan.launch.executor != "local"
        or plan.layout.num_nodes > 1
        or not isinstance(recipe.cluster, Cluster)
    ):
        return ()
    found = machine_differs(cluster=recipe.cluster, own=recipe.devices, environ=environ)
    return () if found is None else _located((found,), recipe)


def render(recipe: Recipe, plan: RunPlan, *, hosts: Sequence[str] = ()) -> LaunchBundle:
    """Files and commands of a plan, read back and compared with it number by number.

    hosts: one name per node; those of the plan's hostfile when empty, and `localhost` for a single node without one.
    Raises PlanError for keys that are not yet carried out, EngineError for what the engine cannot render.
    """
    from launcher.planning.support import unsupported

    refused = unsupported(recipe)
    if refused:
        raise PlanError(_located(refused, recipe), plan=plan.to_dict())
    return _bundle(recipe, plan, hosts)


def _bundle(recipe: Recipe, plan: RunPlan, hosts: Sequence[str]) -> LaunchBundle:
    """Rendered and read back. Raises EngineError."""
    from launcher.discovery.plugins import find_plugin
    from launcher.engines.formats.read_back import differences
    from launcher.planning.stages.ledger import at_the_start

    names = tuple(hosts) or plan.launch.hosts or _host_names(plan.layout.num_nodes)
    begins = at_the_start(plan)
    try:
        rendered = find_plugin("launcher.engines", plan.launch.engine).render(begins, names)
        bundle: LaunchBundle = find_plugin("launcher.executors", plan.launch.executor).render(
            begins, rendered
        )
    except EngineError as error:
        raise EngineError(_located(error.problems, recipe)) from None
    wrong = differences(begins, bundle)
    if wrong:
        raise EngineError(_located(wrong, recipe))
    return bundle


def _render_problems(recipe: Recipe, plan: RunPlan) -> tuple[Problem, ...]:
    """Why a plan cannot be rendered; nothing where the recipe does not say how to start it."""
    from launcher.planning.support import unsupported

    if not any(path.startswith("launch.") for path in recipe.marks):
        return ()
    found = _located(unsupported(recipe), recipe)
    try:
        _bundle(recipe, plan, ())
    except LauncherError as error:
        return (*found, *error.problems)
    return found


def _read_beside(recipe: Recipe, environ: Mapping[str, str] | None) -> Recipe:
    """With what else it depends on: hostfile, a site's job file, the Slurm job we are in. Raises RecipeError."""
    from launcher.discovery.hostfile import with_hosts
    from launcher.discovery.slurm import with_allocation
    from launcher.loading.templates import with_template

    return with_allocation(with_template(with_hosts(recipe)), environ=environ)


def _machines(recipe: Recipe, environ: Mapping[str, str] | None) -> tuple[Cluster, Origin]:
    """The recipe's cluster, else the Slurm job that we are in, else this machine; and which of them it is."""
    from launcher.discovery.machine import this_machine
    from launcher.discovery.slurm import allocated_cluster, with_allocation
    from launcher.spec.cluster import Cluster
    from launcher.spec.marks import Origin

    if isinstance(recipe.cluster, Cluster):
        mark = recipe.marks.get("cluster")
        return recipe.cluster, Origin(origin=mark.origin if mark else "recipe")
    here = this_machine(environ=environ)
    if (allocation := with_allocation(recipe, environ=environ).allocation) is not None:
        formula = f"Slurm job {allocation.job}"
        return allocated_cluster(allocation, here=here), Origin(origin="derived", formula=formula)
    return here, Origin(origin="derived", formula="this machine")


def _host_names(num_nodes: int) -> tuple[str, ...]:
    """Of nodes that nobody named: only the job learns where the first one is."""
    from launcher.spec.bundle import MAIN_ADDRESS

    if num_nodes == 1:
        return ("localhost",)
    return (MAIN_ADDRESS, *(f"node-{rank}" for rank in range(1, num_nodes)))


def _plugin_problems(result: RunPlan) -> tuple[Problem, ...]:
    """What engine and executor have to say of the plan."""
    from launcher.discovery.plugins import find_plugin

    plugins = [("launcher.engines", result.launch.engine), ("launcher.executors", result.launch.executor)]
    found: list[Problem] = []
    for group, name in plugins:
        try:
            found.extend(find_plugin(group, name).check(result))
        except LauncherError as error:
            found.extend(error.problems)
    return tuple(found)


def _located(problems: Sequence[Problem], recipe: Recipe) -> tuple[Problem, ...]:
    from launcher.loading import locate

    return locate(problems, recipe)


def _plain(problems: Sequence[Problem]) -> Any:
    from launcher.spec.plain import to_plain

    return to_plain(problems)
