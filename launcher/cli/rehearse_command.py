"""`batchwright rehearse`: everything that a long run does later, done once now, at its real size."""

from __future__ import annotations

import argparse

from launcher.cli.options import add_recipe
from launcher.cli.surroundings import Surroundings

__all__ = ["DESCRIPTION", "EXAMPLE", "SUMMARY", "add_arguments", "run"]

SUMMARY = "evaluate, save, reload and go on once, at the real size, before the long run"
DESCRIPTION = """\
Start the recipe's own job, on its own cluster, twice: three optimizer steps, the longest samples first, with an
evaluation and a save after the second; then, from what was saved, the third step again. Parameters, optimizer state and
learning rate have to come back to the last bit and the loss has to be the same; memory of device and host is shown
beside the plan's. The recipe's own checkpoint directory is not touched. What a recipe or script leaves out is said as
`not rehearsed`.
Exit code: 0 passed, 1 failed or nothing could be started, 130 when interrupted."""
EXAMPLE = """\
examples:
  batchwright rehearse recipes/quickstart/cpu-1x2.yaml
  batchwright rehearse recipes/quickstart/cpu-1x2.yaml --set launch.engine=accelerate --json
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of `rehearse`."""
    add_recipe(parser)
    parser.add_argument(
        "--keep", action="store_true", help="keep run folders and checkpoints of a rehearsal that passed"
    )
    parser.add_argument("--json", action="store_true", help="print the result as one JSON object")


def run(arguments: argparse.Namespace, around: Surroundings) -> int:
    """Prints the result; LauncherError when nothing could be started."""
    from launcher.cli.rehearsing import Rehearsal
    from launcher.cli.trials import show_found
    from launcher.reporting.rehearse_text import rehearsal_text

    rehearsal = Rehearsal(
        path=arguments.recipe, overrides=tuple(arguments.set), keep=arguments.keep, around=around
    )
    found = show_found(rehearsal.run, rehearsal_text, as_json=arguments.json, around=around)
    return 0 if found.passed else 1
