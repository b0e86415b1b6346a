"""`batchwright trace`: what a person's own module needs, by building it without memory for its numbers."""

from __future__ import annotations

import argparse

from launcher.cli.options import add_recipe
from launcher.cli.surroundings import Surroundings

__all__ = ["DESCRIPTION", "EXAMPLE", "SUMMARY", "add_arguments", "run"]

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
    from launcher.cli.module_setting import setting_here
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
