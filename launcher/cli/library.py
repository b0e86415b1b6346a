"""Rows of the library: every recipe loaded and planned, for `batchwright recipes` and for recipes/README.md."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from launcher.api import load_recipe, plan
from launcher.loading.headers import Header, read_header
from launcher.loading.library import cluster_names, library_file, library_folder, recipe_names

if TYPE_CHECKING:
    from launcher.reporting.library_table import LibraryRow

__all__ = ["cluster_rows", "header_of", "library_readme", "rows_of"]

_NO_CLUSTER = ("cluster.device=cpu", "cluster.devices_per_node=1")
"""Stands in for a machine that a recipe does not name: the list is the same wherever it is printed."""


def rows_of(names: Sequence[str]) -> list[LibraryRow]:
    """One row per recipe of the library, as recipes/README.md has it; planned where that page has none.

    The page is made of plans and comes with the package; planning all recipes takes a second and more.
    """
    from launcher.reporting.library_table import rows_of_page

    page = library_folder() / "README.md"
    kept = rows_of_page(page.read_text("utf-8")) if page.is_file() else {}
    return [kept.get(name) or _row(name) for name in names]


def cluster_rows() -> list[tuple[str, str, str]]:
    """Name, machine and title of every cluster file."""
    rows = []
    for name in cluster_names():
        recipe = load_recipe({"global_batch_size": 1, "cluster": str(library_file(f"clusters/{name}"))})
        rows.append((name, _machine(recipe.cluster), header_of(f"clusters/{name}").title))
    return rows


def header_of(name: str) -> Header:
    """The header of a file of the library."""
    return read_header(library_file(name).read_text("utf-8"))


def library_readme() -> str:
    """recipes/README.md as Markdown."""
    from launcher.reporting.library_table import library_page

    return library_page([_row(name) for name in recipe_names()], cluster_rows())


def _row(name: str) -> LibraryRow:
    from launcher.reporting.library_table import library_row

    path, header = library_file(name), header_of(name)
    recipe = load_recipe(path)
    here = recipe.cluster is None
    placed = load_recipe(path, overrides=_NO_CLUSTER) if here else recipe
    return library_row(
        name=name,
        title=header.title,
        engines=header.engines,
        verified=header.verified,
        plan=plan(placed, environ={}, measured=False, traced=False),  # the same list wherever it is made
        here=here,
    )


def _machine(cluster: object) -> str:
    from launcher.spec.cluster import Cluster

    assert isinstance(cluster, Cluster)
    each = cluster.devices_per_node or len(cluster.devices or ())
    return f"{cluster.nodes} x {each} {cluster.device}"
