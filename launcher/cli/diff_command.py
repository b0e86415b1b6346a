"""`batchwright diff`: what a change to a recipe means, in sentences with numbers."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from launcher.cli.surroundings import Surroundings

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from launcher.cli.two_sides import Place
    from launcher.errors import LauncherError
    from launcher.planning.comparing.sides import Side

__all__ = ["DESCRIPTION", "EXAMPLE", "SUMMARY", "add_arguments", "run"]

SUMMARY = "say what a change to a recipe means"
DESCRIPTION = """\
Plan both sides and say what differs, the meaning of the training first. A side is a file, REV:path of a git
revision (with the clusters and configurations of that revision), or a lock (NAME.plan.json). One name alone is
compared with what it comes to now: a recipe's lock, a lock, or a revision. What was measured on a machine counts
only between two files. --set changes the second side.
Exit code: 0 when both sides have a plan, the same or not; 1 when one is refused (problems on stderr)."""
EXAMPLE = """\
examples:
  batchwright diff recipes/quickstart/cpu-1x2.yaml recipes/quickstart/ramp-1x2.yaml
  batchwright diff HEAD~1:recipes/quickstart/cpu-1x2.yaml recipes/quickstart/cpu-1x2.yaml
  batchwright diff recipes/quickstart/cpu-1x2.yaml recipes/quickstart/cpu-1x2.yaml --set global_batch_size=48
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of `diff`."""
    parser.add_argument("first", metavar="A", help="a recipe, REV:path, or a lock")
    parser.add_argument("second", metavar="B", nargs="?", help="the same; when absent, what A comes to now")
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="PATH=VALUE",
        help="override one key of the second side; may be repeated",
    )
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="print the difference as one JSON object")
    form.add_argument("--markdown", action="store_true", help="print it for a pull-request comment")


def run(arguments: argparse.Namespace, around: Surroundings) -> int:
    """Prints the difference; 1 where a side has no plan."""
    import tempfile

    with tempfile.TemporaryDirectory(prefix="batchwright-") as folder:
        return _compared(arguments, around, folder)


def _compared(arguments: argparse.Namespace, around: Surroundings, folder: str) -> int:
    from launcher.planning.comparing.comparing import compare

    places = _places(arguments, around, folder)
    if arguments.set and places[1].is_lock:
        around.tell("batchwright diff: --set changes the second side, and a lock cannot be changed")
        return 2
    measured = all(place.is_file for place in places)
    environ = {} if any(place.is_lock for place in places) else around.environ  # as locks are made
    refused: list[LauncherError] = []
    sides = []
    for place, overrides in zip(places, ((), arguments.set), strict=True):
        side = _side(place, overrides, environ, measured=measured)
        sides.append(side)
        refused += [side] if isinstance(side, Exception) else []
    if refused:
        return _refuse(refused, sides, places, arguments, around)
    comparison = compare(sides[0], sides[1])  # type: ignore[arg-type]
    if arguments.json:
        import json

        from launcher.reporting.diff_data import difference

        around.say(json.dumps(difference(comparison), indent=1))
    elif arguments.markdown:
        from launcher.reporting.diff_markdown import markdown_lines

        around.say("\n".join(markdown_lines(comparison)))
    else:
        from launcher.reporting.diff_text import diff_lines

        around.say("\n".join(diff_lines(comparison)))
    return 0


def _places(arguments: argparse.Namespace, around: Surroundings, folder: str) -> tuple[Place, Place]:
    from pathlib import Path

    from launcher.cli.two_sides import find_place, lock_and_now

    folders = [str(Path(folder).resolve() / name) for name in ("a", "b")]
    for each in folders:
        Path(each).mkdir()
    if arguments.second is None:
        return lock_and_now(arguments.first, into=folders[0], environ=around.environ)
    first = find_place(arguments.first, into=folders[0], environ=around.environ)
    return first, find_place(arguments.second, into=folders[1], environ=around.environ)


def _side(
    place: Place, overrides: Sequence[str], environ: Mapping[str, str], *, measured: bool
) -> Side | LauncherError:
    from launcher.cli.two_sides import side_of
    from launcher.errors import LauncherError

    try:
        return side_of(place, overrides=overrides, environ=environ, measured=measured)
    except LauncherError as error:
        return error


def _refuse(
    refused: list[LauncherError],
    sides: list[Side | LauncherError],
    places: tuple[Place, Place],
    arguments: argparse.Namespace,
    around: Surroundings,
) -> int:
    """Problems of every side that has no plan, and which one has."""
    errors = [each for error in refused for each in error.problems if each.severity == "error"]
    words = list(dict.fromkeys(map(str, errors)))
    for each in words:
        around.tell(each)
    for place, side in zip(places, sides, strict=True):
        if not isinstance(side, Exception):
            around.tell(
                f"{place.name}: has a plan ({side.facts['verdict']}); there is nothing to compare it with"
            )
    around.tell(f"{len(words)} problem{'s' if len(words) != 1 else ''}")
    if arguments.json:
        import json

        from launcher.spec.plain import to_plain

        around.say(
            json.dumps({"diff_version": 1, "verdict": "refused", "problems": to_plain(errors)}, indent=1)
        )
    return 1
