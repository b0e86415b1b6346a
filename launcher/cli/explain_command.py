"""`batchwright explain`: an error code, a key of a recipe or a number of a plan in words, with an example."""

from __future__ import annotations

import argparse

from launcher.cli.surroundings import Surroundings

__all__ = ["DESCRIPTION", "EXAMPLE", "SUMMARY", "add_arguments", "run"]

SUMMARY = "explain an error code, a key of a recipe or a number of a plan"
DESCRIPTION = """\
Explain one word, offline, with an example: an error code (and a recipe that gets it, with the whole message), a key of
a recipe (its dotted path, or its last name where only one key has it), a number of plan.json, a {placeholder}. Without
a word: everything that can be asked for."""
EXAMPLE = """\
examples:
  batchwright explain batch-not-divisible
  batchwright explain optimizer.scaling
  batchwright explain memory.peak_bytes --json
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of `explain`."""
    parser.add_argument(
        "word", metavar="CODE|FIELD", nargs="?", help="what to explain; all words when absent"
    )
    parser.add_argument("--json", action="store_true", help="one JSON object")


def run(arguments: argparse.Namespace, around: Surroundings) -> int:
    """Prints what is known of the word."""
    from launcher.cli.explaining import answer, everything

    found = everything() if arguments.word is None else answer(arguments.word)
    if arguments.json:
        import json

        around.say(json.dumps(found.facts, indent=1, default=str))
    else:
        around.say("\n".join(found.lines))
    return 0
