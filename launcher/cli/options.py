"""Arguments that several commands share."""

from __future__ import annotations

import argparse

__all__ = ["add_recipe"]


def add_recipe(parser: argparse.ArgumentParser) -> None:
    """The recipe, and the one way to override what it says."""
    parser.add_argument("recipe", metavar="RECIPE", help="the recipe, a YAML file")
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="PATH=VALUE",
        help="override one key, e.g. --set launch.engine=deepspeed; may be repeated",
    )
