"""`batchwright plan`: what a recipe comes to, and where each number comes from."""

from __future__ import annotations

import argparse

from launcher.cli.options import add_recipe
from launcher.cli.stage_option import add_stage, asked_part
from launcher.cli.surroundings import Surroundings
from launcher.errors import LauncherError, PlanError, RecipeError

__all__ = ["DESCRIPTION", "EXAMPLE", "SUMMARY", "add_arguments", "run"]

SUMMARY = "show what a recipe comes to"
DESCRIPTION = """\
Read a recipe, work out every number of the run, and show them. Starts nothing, writes nothing.
Exit code: 0 when there is a plan, 1 when it is refused (problems on stderr, ways out on stdout)."""
EXAMPLE = """\
examples:
  batchwright plan recipes/quickstart/cpu-1x2.yaml
  batchwright plan recipes/quickstart/cpu-1x2.yaml --explain
  batchwright plan recipes/quickstart/cpu-1x2.yaml --json --set global_batch_size=64
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of `plan`."""
    add_recipe(parser)
    parser.add_argument(
        "--json", action="store_true", help="print the plan as one JSON object, refused or not"
    )
    add_stage(parser)
    parser.add_argument("--explain", action="store_true", help="add where every number comes from")


def run(arguments: argparse.Namespace, around: Surroundings) -> int:
    """Prints the plan; LauncherError when there is none."""
    from launcher.api import load_recipe, machine_remarks, plan

    try:
        recipe = asked_part(arguments, load_recipe(arguments.recipe, overrides=arguments.set), around)
        if recipe is None:
            return 2
        result = plan(recipe, environ=around.environ)
    except LauncherError as error:
        raise _whole(error, arguments, around) from None
    if arguments.json:
        import json

        around.say(json.dumps(result.to_dict(), indent=1))
    else:
        from dataclasses import replace

        from launcher.reporting.glyphs import glyphs_for
        from launcher.reporting.plan_text import plan_text

        remarks = machine_remarks(recipe, result, environ=around.environ)
        lines = plan_text(
            plan=replace(result, problems=(*result.problems, *remarks)),
            recipe=recipe,
            recipe_path=arguments.recipe,
            glyphs=glyphs_for(around.stdout.encoding, colour=around.colour),
            explain=arguments.explain,
        )
        around.say("\n".join(lines))
    return 1 if result.verdict == "does-not-fit" else 0


def _whole(error: LauncherError, arguments: argparse.Namespace, around: Surroundings) -> LauncherError:
    """The same refusal with every problem of the recipe, of reading and of planning."""
    from launcher.api import examine

    if arguments.stage is not None or not isinstance(error, RecipeError | PlanError):
        return error  # of one part alone
    problems = examine(
        arguments.recipe, overrides=arguments.set, environ=around.environ, rendered=False
    ).problems
    if isinstance(error, PlanError):
        from launcher.spec.plain import to_plain

        shown = {**error.to_dict(), "problems": to_plain(problems)}
        return PlanError(problems, alternatives=error.alternatives, plan=shown)
    return RecipeError(problems)
