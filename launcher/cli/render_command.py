"""`batchwright render`: the engine's own files and command, to start without us."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from launcher.cli.options import add_recipe
from launcher.cli.stage_option import add_stage, asked_part
from launcher.cli.surroundings import Surroundings

if TYPE_CHECKING:
    from launcher.handoff.order import Order
    from launcher.spec.bundle import LaunchBundle, NodeCommand
    from launcher.spec.plan import RunPlan

__all__ = ["DESCRIPTION", "EXAMPLE", "SUMMARY", "add_arguments", "run"]

SUMMARY = "write the engine's own files and print its command"
DESCRIPTION = """\
Plan a recipe, write the engine's own files to a folder, and print the command that starts the job: with its
environment, ready to paste, one line per node. Typed by hand it is the same job that `batchwright run` starts."""
EXAMPLE = """\
examples:
  batchwright render recipes/quickstart/cpu-1x2.yaml -o /tmp/quickstart
  batchwright render recipes/quickstart/cpu-1x2.yaml -o job --set launch.engine=accelerate --print argv
  batchwright render recipes/quickstart/cpu-1x2.yaml -o job --print json --node-rank 0
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of `render`."""
    add_recipe(parser)
    add_stage(parser)
    parser.add_argument(
        "-o",
        "--output",
        metavar="DIR",
        help="folder for the files, new or written by render before (default: runs/rendered/NAME-HASH)",
    )
    parser.add_argument(
        "--print",
        choices=["argv", "env", "json"],
        help="for wrappers: one node's words, its variables (both quoted for a shell), or one JSON object",
    )
    parser.add_argument("--node-rank", type=int, default=0, metavar="N", help="which node --print is about")


def run(arguments: argparse.Namespace, around: Surroundings) -> int:
    """Writes the bundle and prints its commands; LauncherError when there is none."""
    from launcher.api import load_recipe
    from launcher.cli.ordering import make_order, warn
    from launcher.handoff.rendering import write_bundle

    recipe = asked_part(arguments, load_recipe(arguments.recipe, overrides=arguments.set), around)
    if recipe is None:
        return 2
    order = make_order(recipe, around)
    nodes = {command.node_rank for command in order.bundle.nodes or order.bundle.commands}
    if arguments.node_rank not in nodes:
        around.tell(
            f"batchwright render: --node-rank {arguments.node_rank}: this plan has a command for"
            f" {', '.join(map(str, nodes))}"
        )
        return 2
    warn(order.plan.problems, around)
    directory = Path(arguments.output or _default_folder(order.plan))
    placed = write_bundle(plan=order.plan, bundle=order.bundle, directory=directory, python=order.python)
    if arguments.print:
        started = placed.nodes or placed.commands
        command = next(each for each in started if each.node_rank == arguments.node_rank)
        around.say(_for_wrapper(arguments.print, command, order.plan, directory))
        return 0
    around.tell(f"wrote {', '.join(sorted({'plan.json', *placed.files}))} to {directory}")
    if (part := order.plan.part) is not None and part.first_step > 1:
        around.tell(
            f"the script goes on from the checkpoint of step {part.first_step - 1}: add its words to the command"
        )
    around.say("\n".join(_lines(placed, order)))
    return 0


def _default_folder(plan: RunPlan) -> Path:
    from launcher.handoff.run_folder import plain_name

    return Path("runs", "rendered", f"{plain_name(plan.recipe_name)}-{plan.plan_hash[:8]}")


def _lines(placed: LaunchBundle, order: Order) -> list[str]:
    from launcher.handoff.order import with_callers_options
    from launcher.spec.shell import command_line

    workdir = order.plan.launch.workdir
    # what only reaches other machines runs the same from anywhere
    anywhere = bool(placed.nodes) or Path(workdir) == Path.cwd()
    lines = []
    for command in placed.commands:
        if len(placed.commands) > 1:
            lines.append(f"# node {command.node_rank}, {command.host}")
        env = with_callers_options(environ=order.environ, rendered=command.env)
        lines.append(command_line(argv=command.argv, env=env, directory=None if anywhere else workdir))
    return lines


def _for_wrapper(what: str, command: NodeCommand, plan: RunPlan, directory: Path) -> str:
    from launcher.spec.shell import quote, settings

    if what == "argv":
        return " ".join(map(quote, command.argv))
    if what == "env":
        return " ".join(settings(command.env))
    import json

    return json.dumps(
        {
            "node_rank": command.node_rank,
            "host": command.host,
            "argv": list(command.argv),
            "env": dict(command.env),
            "workdir": plan.launch.workdir,
            "directory": str(directory.absolute()),
        },
        indent=1,
    )
