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
    from launcher.spec.recipe import Recipe

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
    if found.ok and arguments.collective != "none":
        found = _with_collective(found, recipe, order, around, everywhere=arguments.collective == "all")
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


def _with_collective(
    found: Checkup, recipe: Recipe, order: Order, around: Surroundings, *, everywhere: bool
) -> Checkup:
    """With the short all-reduce, where its machines are at hand."""
    if not order.bundle.attached or _waits_in_a_queue(order):
        words = "the all-reduce needs the job's machines: inside an allocation (salloc) doctor runs it"
        return replace(found, notes=(*found.notes, words))
    from contextlib import closing
    from time import time

    from launcher.cli.ordering import make_order
    from launcher.cli.trials import Scratch
    from launcher.handoff.doctor.collective import collective_recipe, run_collective
    from launcher.handoff.running.signals import signals_as_bytes

    around.tell(f"an all-reduce through {order.plan.launch.engine} ...")
    scratch = Scratch("doctor", found.recipe_name, now=time())
    with signals_as_bytes() as wake, closing(scratch):
        small = collective_recipe(
            recipe,
            order.plan,
            python=order.python,
            everywhere=everywhere,
            hostfile=scratch.folder / "hostfile",
        )
        started = make_order(small, around, measured=False)
        result, problems = run_collective(
            started, directory=scratch.folder / "collective", wake=wake, say=around.tell
        )
    return replace(found, collective=result, problems=(*found.problems, *problems))


def _waits_in_a_queue(order: Order) -> bool:
    return order.plan.launch.executor == "slurm" and order.plan.launch.allocation is None
