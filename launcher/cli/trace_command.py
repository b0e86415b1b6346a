"""`batchwright trace`: what a person's own module needs, by building it without memory for its numbers."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from launcher.cli.options import add_recipe
from launcher.cli.surroundings import Surroundings

if TYPE_CHECKING:
    from collections.abc import Mapping

    from launcher.planning.memory.setting import Setting
    from launcher.spec.recipe import Recipe

__all__ = ["DESCRIPTION", "EXAMPLE", "SUMMARY", "add_arguments", "run", "setting_here"]

SUMMARY = "measure your own module without a GPU"
DESCRIPTION = """\
Build the module that model.module names, with tensors that hold no numbers, run one training step of it, and say what
it keeps: parameters, gradients, optimizer states, bytes saved for the backward pass by module, and the peak. Runs in a
child process with the interpreter of launch.python; needs torch there, no GPU. The result is kept beside the recipe
and read by `batchwright plan`. Code that decides by the numbers in a tensor is refused."""
EXAMPLE = """\
examples:
  batchwright trace recipes/module/small-gpt.yaml
  batchwright trace recipes/module/small-gpt.yaml --json --set micro_batch_size=16
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of `trace`."""
    add_recipe(parser)
    parser.add_argument(
        "--json", action="store_true", help="print the trace as one JSON object, refused or not"
    )
    parser.add_argument("--again", action="store_true", help="trace even if nothing has changed")
    parser.add_argument(
        "--timeout",
        type=float,
        default=300.0,
        metavar="SECONDS",
        help="give up after that long (default: 300)",
    )


def run(arguments: argparse.Namespace, around: Surroundings) -> int:
    """Prints the trace; LauncherError when there is none."""
    from launcher.api import load_recipe
    from launcher.cli.ordering import located
    from launcher.errors import LauncherError
    from launcher.measuring.trace import trace_recipe

    recipe = load_recipe(arguments.recipe, overrides=arguments.set)
    try:
        found = trace_recipe(
            recipe=recipe,
            setting=setting_here(recipe, around.environ),
            environ=around.environ,
            beside=around.beside,
            timeout_seconds=arguments.timeout,
            again=arguments.again,
        )
    except LauncherError as error:
        raise type(error)(located(error.problems, recipe)) from None
    if arguments.json:
        import json

        around.say(json.dumps(found.content, indent=1))
    else:
        from launcher.reporting.trace_text import trace_text

        around.say("\n".join(trace_text(trace=found.content, path=str(found.path), cached=found.cached)))
    return 0


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
