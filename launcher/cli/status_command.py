"""`batchwright status`: how a run stands."""

from __future__ import annotations

import argparse
import json
import time
from typing import TYPE_CHECKING, Any

from launcher.cli.surroundings import Surroundings

if TYPE_CHECKING:
    from launcher.handoff.afterwards.run_record import RunRecord

__all__ = ["DESCRIPTION", "EXAMPLE", "SUMMARY", "add_arguments", "run"]

SUMMARY = "how a run stands"
DESCRIPTION = """\
Read a run's folder: state, last step, last remark, ranks that are behind, how it ended. Exit code 0 while it runs and
when it has ended well, 1 when it has not (failed, interrupted, or lost: its process is gone and never wrote how it
ended)."""
EXAMPLE = """\
examples:
  batchwright status runs/quickstart-20261121-230142-7f3a
  batchwright status runs/quickstart-20261121-230142-7f3a --json
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of `status`."""
    parser.add_argument("run_folder", metavar="RUN", help="the run's folder, or its name under ./runs")
    parser.add_argument("--json", action="store_true", help="one JSON object")


def run(arguments: argparse.Namespace, around: Surroundings) -> int:
    """0 for a run that is well."""
    from launcher.handoff.afterwards.run_record import find_run, read_run

    record = read_run(find_run(arguments.run_folder))
    around.say(json.dumps(_facts(record), indent=1) if arguments.json else "\n".join(_lines(record)))
    return 0 if record.state in {"submitted", "running", "done"} else 1


def _facts(record: RunRecord) -> dict[str, Any]:
    """status.json with what is known beyond it."""
    last = record.steps[-1] if record.steps else None
    return {
        **record.status,
        "state": record.state,
        "directory": str(record.directory),
        "step": last.step if last else None,
        "loss": last.loss if last else None,
        "remarks": list(record.remarks),
        "beats": {str(rank): dict(beat) for rank, beat in record.beats.items()},
        "ended_ranks": [{"rank": end.rank, "host": end.host, "exit": end.exit} for end in record.ranks],
    }


def _lines(record: RunRecord) -> list[str]:
    from launcher.reporting.stability_text import remark_line
    from launcher.reporting.status_text import rank_line, run_line, step_line

    now = time.time()
    alive = record.state in {"running", "submitted"}
    ended = record.ended_at
    seconds = (now if alive or ended is None else ended) - record.started_at
    lines = [
        run_line(state=record.state, plan=record.plan, directory=str(record.directory), seconds=seconds),
        step_line(
            plan=record.plan,
            steps=record.steps,
            seconds_ago=now - record.stepped_at if alive and record.stepped_at else None,
        ),
    ]
    if said := remark_line(record.remarks):
        lines.append(said)
    if alive and (late := rank_line(record.beats)):
        lines.append(late)
    if record.state == "submitted" and record.plan.launch.executor == "kubernetes":
        from launcher.handoff.afterwards.rank_logs import pods_of

        lines.append(f"            the cluster knows more: kubectl get pods {' '.join(pods_of(record))}")
    if record.state == "lost":
        lines.append(
            f"            process {record.status.get('pid')} that started it is gone and wrote no end"
        )
        if left := record.processes:
            lines.append(f"            {len(left)} processes of it still run: batchwright stop ends them")
    elif not alive:
        code = record.status.get("exit")
        words = str(record.status.get("message") or "")
        lines.append(f"exit code   {code}{f', {words}' if words else ''}")
    return lines
