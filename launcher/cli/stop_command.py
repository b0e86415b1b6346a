"""`batchwright stop`: end a run from another terminal, another day."""

from __future__ import annotations

import argparse

from launcher.cli.surroundings import Surroundings

__all__ = ["DESCRIPTION", "EXAMPLE", "SUMMARY", "add_arguments", "run"]

SUMMARY = "end a run on all its hosts"
DESCRIPTION = """\
Ask a run to end: every process gets SIGTERM and launch.timeouts.grace to write a checkpoint, then the rest is ended.
Works from another terminal, and when the process that started the run is gone (ssh, Slurm, Kubernetes)."""
EXAMPLE = """\
examples:
  batchwright stop runs/quickstart-20261121-230142-7f3a
  batchwright stop runs/quickstart-20261121-230142-7f3a --now
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of `stop`."""
    parser.add_argument("run_folder", metavar="RUN", help="the run's folder, or its name under ./runs")
    parser.add_argument("--now", action="store_true", help="without grace: no time for a last checkpoint")


def run(arguments: argparse.Namespace, around: Surroundings) -> int:
    """0 when nothing of the run is left running."""
    from launcher.handoff.afterwards.run_record import find_run
    from launcher.handoff.afterwards.stopping import stop_run

    return stop_run(find_run(arguments.run_folder), now=arguments.now, say=around.tell)
