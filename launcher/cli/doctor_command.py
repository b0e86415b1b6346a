"""`batchwright doctor`: ask all hosts at once, show one table, and one hint for each failure."""

from __future__ import annotations

import argparse
import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from launcher.cli.options import add_recipe
from launcher.cli.surroundings import Surroundings

if TYPE_CHECKING:
    from launcher.errors import Problem
    from launcher.handoff.order import Order
    from launcher.spec.checkup import Checkup

__all__ = ["DESCRIPTION", "EXAMPLE", "SUMMARY", "add_arguments", "run"]

SUMMARY = "examine the hosts before anything is started on them"
DESCRIPTION = """\
Plan a recipe and ask all of its hosts at once: versions, devices and their free memory, script and data, run folders,
disk, limits, clocks, the network interface that reaches the main address, the port. Then an all-reduce of a few MiB
through the recipe's engine. Nothing has to be installed on a host for it to be asked, only Python.
The table goes to stdout. Exit code: 0 all well (warnings included), 1 something would keep the job from running."""
EXAMPLE = """\
examples:
  batchwright doctor recipes/quickstart/cpu-1x2.yaml --collective none
  batchwright doctor recipes/quickstart/cpu-1x2.yaml --collective all
  batchwright doctor recipes/quickstart/cpu-1x2.yaml --collective none --json
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of `doctor`."""
    add_recipe(parser)
    parser.add_argument("--json", action="store_true", help="one JSON object instead of the table")
    parser.add_argument(
        "--collective",
        choices=("one", "all", "none"),
        default="one",
        help="the all-reduce: on one host (default), across all, or not at all",
    )


def run(arguments: argparse.Namespace, around: Surroundings) -> int:
    """0 all well, 1 with problems."""
    from launcher.api import load_recipe
    from launcher.cli.ordering import located, make_order

    recipe = load_recipe(arguments.recipe, overrides=arguments.set)
    order = make_order(recipe, around)
    found = _examined(order)
    found = replace(found, problems=located(found.problems, recipe))
    if arguments.json:
        around.say(json.dumps(found.to_dict(), indent=1))
    else:
        from launcher.reporting.doctor_text import doctor_lines

        around.say("\n".join(doctor_lines(found, colour=around.colour)))
    return 0 if found.ok else 1


def _examined(order: Order) -> Checkup:
    """What this machine would refuse by itself, and what the hosts say."""
    from launcher.errors import HandoffError
    from launcher.handoff.doctor.examining import examine
    from launcher.handoff.launch import check_order

    own: tuple[Problem, ...] = ()
    try:
        check_order(order)
    except HandoffError as error:
        own = error.problems
    found = examine(order, run_parent=Path("runs").absolute())
    told = {(problem.code, problem.path) for problem in found.problems}
    more = tuple(problem for problem in own if (problem.code, problem.path) not in told)
    return replace(found, problems=(*more, *found.problems))
