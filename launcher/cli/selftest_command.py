"""`batchwright selftest`: whether the gradient depends on how the batch is cut."""

from __future__ import annotations

import argparse

from launcher.cli.options import add_recipe
from launcher.cli.surroundings import Surroundings

__all__ = ["DESCRIPTION", "EXAMPLE", "SUMMARY", "add_arguments", "run"]

SUMMARY = "compare the gradient of one step, cut into micro-batches in two ways"
DESCRIPTION = """\
Start the recipe's own script twice, for one optimizer step each, with the same global batch cut in two ways: the plan's
micro-batch and accumulation, and one micro-batch per rank where that fits. The norms of the two gradients, before
clipping, should be the same. Where the script uses the runtime, the samples are chosen to differ in length. `run` does
this by itself when torch, DeepSpeed or Accelerate have changed since the recipe's last run.
Exit code: 0 passed, or nothing to compare; 1 failed, or unclear, or no job; 130 when interrupted."""
EXAMPLE = """\
examples:
  batchwright selftest recipes/quickstart/cpu-1x2.yaml
  batchwright selftest recipes/quickstart/cpu-1x2.yaml --set launch.engine=deepspeed --json
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of `selftest`."""
    add_recipe(parser)
    parser.add_argument("--json", action="store_true", help="print the result as one JSON object")


def run(arguments: argparse.Namespace, around: Surroundings) -> int:
    """Prints the result; LauncherError when a job fails."""
    from launcher.cli.selftesting import SelfTest
    from launcher.cli.trials import show_found
    from launcher.reporting.selftest_text import selftest_text

    test = SelfTest(path=arguments.recipe, overrides=tuple(arguments.set), around=around)
    found = show_found(test.run, selftest_text, as_json=arguments.json, around=around)
    return 0 if found.verdict in {"passed", "not tested"} else 1
