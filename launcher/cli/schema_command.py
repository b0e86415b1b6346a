"""`batchwright schema`: the JSON Schema of a recipe, of a cluster file or of a catalog of one's own, for editors."""

from __future__ import annotations

import argparse

from launcher.cli.surroundings import Surroundings

__all__ = ["DESCRIPTION", "EXAMPLE", "SUMMARY", "add_arguments", "run"]

SUMMARY = "print the JSON Schema of a recipe"
DESCRIPTION = """\
Print the JSON Schema of a recipe, made from the same types that the reader uses; an editor that knows it completes
keys and marks mistakes. With --cluster, that of a cluster file; with --catalog, that of `catalog/devices.yaml` and
`catalog/models.yaml`."""
EXAMPLE = """\
example:
  batchwright schema > recipe.schema.json
  # then, as first line of a recipe, for the YAML language server:
  # yaml-language-server: $schema=recipe.schema.json
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of `schema`."""
    kinds = parser.add_mutually_exclusive_group()
    kinds.add_argument("--cluster", action="store_true", help="print that of a cluster file")
    kinds.add_argument("--catalog", action="store_true", help="print that of a catalog of your own")


def run(arguments: argparse.Namespace, around: Surroundings) -> int:
    """Prints the schema."""
    import json

    from launcher.reporting.recipe_schema import catalog_schema, cluster_schema, recipe_schema

    made = catalog_schema if arguments.catalog else cluster_schema if arguments.cluster else recipe_schema
    around.say(json.dumps(made(), indent=1))
    return 0
