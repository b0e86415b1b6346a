"""`batchwright run`: start the job, stay with it, and say how it ended."""

from __future__ import annotations

import argparse
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from launcher.cli.options import add_recipe
from launcher.cli.stage_option import add_stage, asked_part, from_run
from launcher.cli.surroundings import Surroundings

if TYPE_CHECKING:
    from launcher.handoff.order import Order
    from launcher.spec.recipe import Recipe

__all__ = ["DESCRIPTION", "EXAMPLE", "SUMMARY", "add_arguments", "run"]

SUMMARY = "start the job and stay with it"
DESCRIPTION = """\
Plan a recipe, write a run folder, start the engine on it, and stay until every process has ended. Ctrl-C asks the
job to end (SIGTERM) and ends it after launch.timeouts.grace; a second Ctrl-C ends it at once. Where stages need a
restart between them, the jobs of all parts follow each other, each from the checkpoint of the one before.
Exit code: 0 done, 78 refused before anything started, 130 or 143 interrupted, else the first failing rank's own
code. Programs read RUN/status.json."""
EXAMPLE = """\
examples:
  batchwright run recipes/quickstart/cpu-1x2.yaml
  batchwright run recipes/quickstart/cpu-1x2.yaml --set launch.engine=deepspeed
  batchwright run recipes/quickstart/cpu-1x2.yaml --rehearse
  batchwright run recipes/quickstart/cpu-1x2.yaml --dry-run
  batchwright run recipes/quickstart/ramp-1x2.yaml --resume runs/ramp-20261122-101502-3f5e
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of `run`."""
    add_recipe(parser)
    parser.add_argument(
        "--dry-run", action="store_true", help="show what would be written and started, and do neither"
    )
    parser.add_argument(
        "--detach",
        action="store_true",
        help="submit the job and return, where launch.executor can: slurm, kubernetes",
    )
    parser.add_argument("--ignore-memory", action="store_true", help="start a plan although it does not fit")
    parser.add_argument(
        "--rehearse", action="store_true", help="rehearse first, and start the run only if that passed"
    )
    parser.add_argument(
        "--no-preflight", action="store_true", help="leave out the look at the hosts before anything starts"
    )
    parser.add_argument(
        "--no-selftest",
        action="store_true",
        help="leave out the self-test that follows a change of torch, DeepSpeed or Accelerate",
    )
    add_stage(parser)
    parser.add_argument(
        "--resume",
        metavar="RUN",
        help="go on from the newest checkpoint of a run, by the words of resume.args",
    )
    parser.add_argument(
        "--run-dir", metavar="DIR", help="the run folder, new or empty (default: runs/NAME-TIME-HASH)"
    )


def run(arguments: argparse.Namespace, around: Surroundings) -> int:
    """The job's exit code; LauncherError when nothing was started."""
    from launcher.api import load_recipe
    from launcher.cli.ordering import handed_over, located, make_order
    from launcher.errors import HandoffError
    from launcher.planning.stages.restarting import parts_of

    recipe = asked_part(arguments, load_recipe(arguments.recipe, overrides=arguments.set), around)
    if recipe is None:
        return 2
    several = recipe.part is None and len(parts_of(recipe)) > 1
    if several and arguments.resume:
        around.tell(
            "batchwright run: --resume: stages need a restart on the way; say with --stage N which part goes on"
        )
        return 2
    try:
        if several:
            return _in_parts(arguments, recipe, around)
        if arguments.resume:
            recipe = from_run(recipe, arguments.resume)
        order = make_order(recipe, around)
        if arguments.detach:
            order = handed_over(order)
        _judge(arguments, order, around)
        directory = Path(arguments.run_dir) if arguments.run_dir else None
        if arguments.dry_run:
            _show(order, directory, around)
            return 0
        if recipe.part is None:
            return _start(recipe, order, directory, False, arguments=arguments, around=around)
        from launcher.cli.part_runs import run_part

        return run_part(
            arguments, recipe, order, around, start=partial(_start, arguments=arguments, around=around)
        )
    except HandoffError as error:
        raise HandoffError(located(error.problems, recipe)) from None


def _in_parts(arguments: argparse.Namespace, recipe: Recipe, around: Surroundings) -> int:
    from launcher.cli.part_runs import run_parts

    return run_parts(
        arguments,
        recipe,
        around,
        start=partial(_start, arguments=arguments, around=around),
        check=partial(_judge, arguments, around=around),
    )


def _judge(arguments: argparse.Namespace, order: Order, around: Surroundings) -> None:
    """Says the plan's warnings. Raises LauncherError where the job does not fit, or cannot be started here."""
    from launcher.cli.ordering import refuse_what_does_not_fit, warn
    from launcher.handoff.launch import check_order

    if not arguments.ignore_memory:
        refuse_what_does_not_fit(order.plan)
    warn(order.plan.problems, around)
    if arguments.dry_run or not arguments.no_preflight:
        check_order(order)


def _start(
    recipe: Recipe,
    order: Order,
    directory: Path | None,
    again: bool,
    *,
    arguments: argparse.Namespace,
    around: Surroundings,
) -> int:
    """The job's exit code, once everything in front of it has passed.

    again: the part before has passed it already.
    """
    from launcher.cli.before_the_run import before_the_run, remember_versions
    from launcher.handoff.launch import launch

    code = None
    if not again:
        if not arguments.no_preflight:
            _look_at_the_hosts(order, recipe, directory, around)
        code = before_the_run(arguments, recipe, order, around)
    if code is None:
        code = launch(order, directory=directory, stdout=around.stdout, stderr=around.stderr)
        if code == 0:
            remember_versions(arguments, recipe, order)
    return code


def _look_at_the_hosts(order: Order, recipe: Recipe, directory: Path | None, around: Surroundings) -> None:
    """Raises HandoffError where a host would keep the job from starting; what is only odd is said."""
    from launcher.cli.ordering import located, warn
    from launcher.errors import HandoffError
    from launcher.handoff.doctor.preflight import preflight

    found = preflight(order, run_parent=(directory or Path("runs", "new")).absolute().parent)
    errors = [problem for problem in found if problem.severity == "error"]
    warn(located(found, recipe), around)
    if errors:
        raise HandoffError(errors)


def _show(order: Order, directory: Path | None, around: Surroundings) -> None:
    """The last step, told instead of done."""
    from launcher.handoff.dry_run import dry_run_lines

    around.say("\n".join(dry_run_lines(order, directory)))
