"""`batchwright probe`: the largest micro-batch that fits, found by training a few steps at several of them."""

from __future__ import annotations

import argparse

from launcher.cli.options import add_recipe
from launcher.cli.surroundings import Surroundings

__all__ = ["DESCRIPTION", "EXAMPLE", "SUMMARY", "add_arguments", "run"]

SUMMARY = "find the largest micro-batch that fits, on the device itself"
DESCRIPTION = """\
Start the recipe's own script a few times, each time as a fresh job of its engine with another micro-batch, let it train
a few optimizer steps, and keep the peak memory of every rank. Only divisors of a rank's sequences are tried; the
global batch stays what it is. On a CPU every process is held to the limit by the kernel. The result is kept beside the
recipe and read by `batchwright plan`, which then takes it before its own estimate.
Exit code: 0 when a micro-batch fits, 1 when none does or a job fails for another reason, 130 when interrupted."""
EXAMPLE = """\
examples:
  batchwright probe recipes/quickstart/cpu-1x2.yaml --limit '1 GiB'
  batchwright probe recipes/quickstart/cpu-1x2.yaml --limit '600 MiB' --steps 2 --json
"""

LEAST_STEPS = 2
"""The first step makes the optimizer's state, the second one is trained with it."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of `probe`."""
    add_recipe(parser)
    parser.add_argument(
        "--steps",
        type=_steps,
        default=3,
        metavar="N",
        help="optimizer steps of every job, 2 or more (default: 3)",
    )
    parser.add_argument(
        "--limit",
        type=_size,
        metavar="SIZE",
        help="what one process may take, e.g. '600 MiB' (default: what device and cluster leave)",
    )
    parser.add_argument("--json", action="store_true", help="print the measurement as one JSON object")


def run(arguments: argparse.Namespace, around: Surroundings) -> int:
    """Prints the measurement; LauncherError when there is none."""
    from launcher.cli.probing import Probe
    from launcher.cli.trials import show_found
    from launcher.reporting.probe_text import probe_text

    probe = Probe(
        path=arguments.recipe,
        overrides=tuple(arguments.set),
        steps=arguments.steps,
        limit=arguments.limit,
        around=around,
    )
    found = show_found(probe.run, probe_text, as_json=arguments.json, around=around)
    return 0 if found.max_micro_batch_size is not None else 1


def _steps(text: str) -> int:
    if not text.isdecimal() or int(text) < LEAST_STEPS:
        raise argparse.ArgumentTypeError(f"`{text}`: expected a whole number from {LEAST_STEPS}")
    return int(text)


def _size(text: str) -> int:
    from launcher.units import UnitError, parse_amount

    spaced = text if " " in text.strip() else _spaced(text)
    try:
        size = int(parse_amount(spaced, kind="size").number)
    except UnitError as error:
        raise argparse.ArgumentTypeError(f"`{text}`: {error}") from None
    if not size:
        raise argparse.ArgumentTypeError(f"`{text}`: expected an amount above 0")
    return size


def _spaced(text: str) -> str:
    """`600MiB` as `600 MiB`: a shell's words are easier without quotes."""
    number = text.rstrip("KMGTiB")
    return f"{number} {text[len(number) :]}"
