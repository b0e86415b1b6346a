"""`batchwright logs`: what a run, or one rank of it, has printed."""

from __future__ import annotations

import argparse

from launcher.cli.surroundings import Surroundings

__all__ = ["DESCRIPTION", "EXAMPLE", "SUMMARY", "add_arguments", "run"]

SUMMARY = "what a run, or one of its ranks, has printed"
DESCRIPTION = """\
Print what a run has printed: everything in the order of arrival, or one rank alone. With --follow, go on until the run
has ended. A rank on a host that does not share the run folder is read there, through ssh."""
EXAMPLE = """\
examples:
  batchwright logs runs/quickstart-20261121-230142-7f3a
  batchwright logs runs/quickstart-20261121-230142-7f3a --rank 1 --follow
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of `logs`."""
    parser.add_argument("run_folder", metavar="RUN", help="the run's folder, or its name under ./runs")
    parser.add_argument("--rank", type=int, metavar="N", help="one rank alone")
    parser.add_argument("--follow", "-f", action="store_true", help="go on until the run has ended")
    parser.add_argument("--tail", type=int, metavar="LINES", help="only the last lines of what is there")


def run(arguments: argparse.Namespace, around: Surroundings) -> int:
    """0 when there was something to print."""
    from launcher.handoff.afterwards.rank_logs import print_log
    from launcher.handoff.afterwards.run_record import find_run, read_run

    return print_log(
        read_run(find_run(arguments.run_folder)),
        rank=arguments.rank,
        follow=arguments.follow,
        tail=arguments.tail,
        stdout=around.stdout,
        say=around.tell,
        environ=around.environ,
    )
