"""`python -m batchwright_node RUN [--node N] [--stop]`."""

from __future__ import annotations

import argparse
import sys
import traceback
from collections.abc import Mapping, Sequence
from pathlib import Path

from launcher.errors import HandoffError
from launcher.handoff.node.orders import node_number, read_order
from launcher.handoff.node.refusal import REFUSED
from launcher.handoff.node.service import serve
from launcher.handoff.node.voice import say

__all__ = ["main"]


def main(argv: Sequence[str], *, environ: Mapping[str, str]) -> int:
    """Exit code: 78 nothing was started, 128+N ended by signal N, 3 a bug of ours, else the first failing rank's."""
    parser = argparse.ArgumentParser(prog="python -m batchwright_node", description=__doc__)
    parser.add_argument("run", metavar="RUN", type=Path, help="the run's folder on this node")
    parser.add_argument(
        "--node", type=int, metavar="N", help="number of this node; else as Slurm or Kubernetes say"
    )
    parser.add_argument("--stop", action="store_true", help="end what runs of it on this node")
    options = parser.parse_args(argv)
    try:
        return _act(options, environ)
    except Exception:  # noqa: BLE001 - none of it may look like an end of the job's own
        traceback.print_exc()
        say("this is a bug of batchwright; please report it with the lines above")
        return 3


def _act(options: argparse.Namespace, environ: Mapping[str, str]) -> int:
    run = options.run.absolute()
    if options.stop:
        from launcher.handoff.node.stop import stop_here

        return stop_here(run, node=options.node, say=say)
    try:
        node = node_number(options.node, environ)
        order = read_order(run, node=node, environ=environ)
    except HandoffError as error:
        say(str(error))
        return REFUSED
    return serve(order, environ=environ, beside=Path(sys.executable).parent)
