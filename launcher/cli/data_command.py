"""`batchwright data`: a file of sequence lengths held against a recipe."""

from __future__ import annotations

import argparse

from launcher.cli.surroundings import Surroundings

__all__ = ["DESCRIPTION", "EXAMPLE", "SUMMARY", "add_arguments", "run"]

SUMMARY = "what a file of sequence lengths loses to truncation, padding or packing"
DESCRIPTION = """\
From a file of sequence lengths: the share of samples and tokens that is cut off, and the share of all token slots that
is padding, at the recipe's sequence length, at powers of two around it and at quantiles of the file: padded to one
length, to the longest of each micro-batch, after sorting, and packed. Then what the recipe's `data` should say, with a
warning where it says something else. Nothing is sampled or simulated.
The file has one length a line in tokens, or `length count`, or is a JSON array; `#` begins a comment, and gzip is read.
An encoder-decoder's has `input target` a line."""
EXAMPLE = """\
example:
  batchwright data recipes/quickstart/cpu-1x2.yaml --lengths recipes/quickstart/lengths.txt
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of `data`."""
    parser.add_argument("recipe", metavar="RECIPE", help="recipe file")
    parser.add_argument("--lengths", required=True, metavar="FILE", help="lengths of the samples, in tokens")
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="PATH=VALUE",
        help="override one key of the recipe; may be repeated",
    )
    parser.add_argument("--json", action="store_true", help="one JSON object")


def run(arguments: argparse.Namespace, around: Surroundings) -> int:
    """0 when the file was read; what the recipe and the file disagree about is a warning."""
    from launcher.api import load_recipe, plan
    from launcher.errors import PlanError
    from launcher.loading import locate
    from launcher.loading.lengths import read_lengths, read_pairs
    from launcher.planning.lengths.histogram import Histogram, histogram_of
    from launcher.planning.lengths.pairs import Pairs
    from launcher.planning.lengths.report import lengths_report, no_sequences
    from launcher.spec.recipe import EncoderDecoderLength

    recipe = load_recipe(arguments.recipe, overrides=arguments.set)
    if (nothing := no_sequences(recipe)) is not None:
        raise PlanError(locate([nothing], recipe))
    made = plan(recipe, environ=around.environ)
    lengths: Histogram | Pairs
    if isinstance(recipe.sequence_length, EncoderDecoderLength):
        lengths = Pairs(read_pairs(arguments.lengths))
    else:
        lengths = histogram_of(read_lengths(arguments.lengths))
    report = lengths_report(lengths=lengths, recipe=recipe, batch=made.batch)
    problems = locate(report.problems, recipe)
    if arguments.json:
        import json
        from dataclasses import replace

        from launcher.reporting.lengths_text import lengths_object

        around.say(
            json.dumps(lengths_object(replace(report, problems=problems), file=arguments.lengths), indent=1)
        )
        return 0
    from launcher.reporting.lengths_text import lengths_text

    around.say("\n".join(lengths_text(report, name=arguments.recipe, file=arguments.lengths)))
    for problem in problems:
        around.tell(f"{problem.severity}: {problem}")
    return 0
