"""`batchwright check`: every problem of every recipe of a repository at once."""

from __future__ import annotations

import argparse
from dataclasses import replace
from typing import TYPE_CHECKING

from launcher.cli.surroundings import Surroundings

if TYPE_CHECKING:
    from launcher.cli.locked import LockFinding
    from launcher.errors import Problem
    from launcher.spec.checked import Checked

__all__ = ["DESCRIPTION", "EXAMPLE", "SUMMARY", "add_arguments", "run"]

SUMMARY = "find every problem of every recipe of a repository"
DESCRIPTION = """\
Load, plan and render every recipe below the paths, and check cluster files and catalog rows by themselves. Every
problem of every file is printed at once, each with its line and column. Starts nothing, writes nothing.
Of a folder those YAML files count that look like recipes, files in a folder `clusters`, and catalog/devices.yaml and
catalog/models.yaml; what is hidden is passed over. A file that is named is checked whatever it looks like.
Exit code: 0 when all is well, 1 with problems. A recipe that does not fit is a problem, unless its lock approves it."""
EXAMPLE = """\
examples:
  batchwright check recipes/quickstart
  batchwright check recipes --strict --json
  batchwright check recipes/quickstart/cpu-1x2.yaml --each-cluster recipes/clusters/cpu-1x2.yaml
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of `check`."""
    parser.add_argument("paths", metavar="PATH", nargs="+", help="recipes, or folders that hold some")
    parser.add_argument("--strict", action="store_true", help="take warnings as problems (not notes)")
    form = parser.add_mutually_exclusive_group()
    form.add_argument(
        "--json", action="store_true", help="print one JSON object: files, problems, plan hashes"
    )
    form.add_argument(
        "--github", action="store_true", help="print problems as annotations of a GitHub pull request"
    )
    parser.add_argument(
        "--each-cluster",
        nargs="+",
        metavar="FILE",
        help="plan one recipe on the machines of each cluster file, and say whether it is the same training",
    )
    parser.add_argument(
        "--locked", action="store_true", help="compare each recipe with its lock, NAME.plan.json beside it"
    )
    parser.add_argument(
        "--against",
        metavar="REV",
        help="with --locked: compare with the locks of a git revision, origin/main",
    )
    parser.add_argument(
        "--allow-moved",
        action="store_true",
        help="with --locked: a training that has moved is approved, and shown",
    )


def run(arguments: argparse.Namespace, around: Surroundings) -> int:
    """Prints what was found; 1 with problems."""
    if (arguments.against or arguments.allow_moved) and not arguments.locked:
        around.tell("batchwright check: --against and --allow-moved go with --locked")
        return 2
    if arguments.each_cluster:
        from launcher.cli.each_cluster import run_each_cluster

        return run_each_cluster(arguments, around)
    checked = _checked(arguments, around)
    if arguments.json:
        _print_json(checked, arguments, around)
    else:
        _print(checked, arguments, around)
    return 1 if checked.count("error") else 0


def _checked(arguments: argparse.Namespace, around: Surroundings) -> Checked:
    from launcher.cli.checking import check_files, strictly, with_locks

    checked = check_files(arguments.paths, environ=around.environ)
    if arguments.locked:
        checked = with_locks(checked, _findings(arguments, around))
    if not arguments.strict:
        return checked
    return replace(
        checked, files=tuple(replace(file, problems=strictly(file.problems)) for file in checked.files)
    )


def _findings(arguments: argparse.Namespace, around: Surroundings) -> tuple[LockFinding, ...]:
    """What the locks say; a revision that cannot be read is a problem like any other."""
    from launcher.cli.locked import LockFinding, locked_findings
    from launcher.errors import LauncherError

    try:
        return locked_findings(
            arguments.paths,
            against=arguments.against,
            allow_moved=arguments.allow_moved,
            environ=around.environ,
        )
    except LauncherError as error:
        return (LockFinding("", error.problems, ()),)


def _print(checked: Checked, arguments: argparse.Namespace, around: Surroundings) -> None:
    """Good files on standard output; problems and the count on standard error, annotations on standard output."""
    from launcher.reporting.check_text import good_lines, summary

    for line in good_lines(checked):
        around.say(line)
    around.stdout.flush()
    for file in checked.files:
        for problem in file.problems:
            if problem.severity != "note":
                _print_problem(problem, arguments, around)
        for line in file.lines:
            around.tell(f"  {line}" if line else "")
    around.tell(summary(checked))


def _print_problem(problem: Problem, arguments: argparse.Namespace, around: Surroundings) -> None:
    if not arguments.github:
        around.tell(f"{'warning: ' if problem.severity == 'warning' else ''}{problem}")
        return
    from launcher.cli.annotating import annotated

    around.say(annotated(problem, around))


def _print_json(checked: Checked, arguments: argparse.Namespace, around: Surroundings) -> None:
    import json

    from launcher.reporting.check_json import check_object

    around.say(json.dumps(check_object(checked, strict=arguments.strict), indent=1))
