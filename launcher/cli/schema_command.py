"""`batchwright schema`: the JSON Schema of a recipe, or of a catalog of one's own, for editors."""

from __future__ import annotations

import argparse

from launcher.cli.surroundings import Surroundings

__all__ = ["DESCRIPTION", "EXAMPLE", "SUMMARY", "add_arguments", "run"]

SUMMARY = "print the JSON Schema of a recipe"
DESCRIPTION = """\
Print the JSON Schema of a recipe, made from the same types that the reader uses; an editor that knows it completes
keys and marks mistakes. With --catalog, that of `catalog/devices.yaml` and `catalog/models.yaml`."""
EXAMPLE = """\
example:
  batchwright schema > recipe.schema.json
  # then, as first line of a recipe, for the YAML language server:
  # yaml-language-server: $schema=recipe.schema.json
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds --catalog."""
    parser.add_argument("--catalog", action="store_true", help="print that of a catalog of your own")


def run(arguments: argparse.Namespace, around: Surroundings) -> int:
    """Prints the schema."""
    import json

    from launcher.reporting.recipe_schema import catalog_schema, recipe_schema

    schema = catalog_schema() if arguments.catalog else recipe_schema()
    around.say(json.dumps(schema, indent=1))
    return 0
