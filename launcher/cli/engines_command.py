"""`batchwright engines`: what is installed, without importing any of it."""

from __future__ import annotations

import argparse

from launcher.cli.surroundings import Surroundings

__all__ = ["DESCRIPTION", "EXAMPLE", "SUMMARY", "add_arguments", "run"]

SUMMARY = "list the engines and executors that are installed"
DESCRIPTION = """\
List engines (what starts the processes) and executors (where), ours and those of other packages, with the
distribution that brings each. A recipe names them under launch.engine and launch.executor."""
EXAMPLE = """\
example:
  batchwright engines
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """`engines` takes none."""


def run(_arguments: argparse.Namespace, around: Surroundings) -> int:
    """Prints a table."""
    from launcher.discovery.plugins import plugin_names
    from launcher.reporting.columns import table

    rows = [
        (group.removeprefix("launcher.").removesuffix("s"), info.name, info.distribution, info.value)
        for group in ("launcher.engines", "launcher.executors")
        for info in plugin_names(group)
    ]
    around.say("\n".join(table(("kind", "name", "from", "is"), rows)))
    return 0
