"""A cluster by name or path: where its file is looked for, and its keys as a tree."""

from __future__ import annotations

import os
from pathlib import Path

from launcher.loading.files import UnreadableError, read_text
from launcher.loading.found import Found
from launcher.loading.near import near_miss
from launcher.loading.tree import Broken, Entry, Items, Keys, Node, Place, Scalar

__all__ = ["with_clusters"]

_MOST = 8


def with_clusters(root: Keys, *, directory: str, shown_from: str, found: Found) -> Keys:
    """The same tree with every cluster that is a name replaced by the keys of its file.

    directory: absolute folder of the recipe; shown_from: folder that paths in messages are relative to, or "".
    """
    entries = dict(root.entries)
    if "cluster" in entries:
        entries["cluster"] = _expanded(entries["cluster"], directory, shown_from, found)
    stages = entries.get("stages")
    if stages and isinstance(stages.node, Items):
        items = tuple(
            with_clusters(item, directory=directory, shown_from=shown_from, found=found)
            if isinstance(item, Keys) and "cluster" in item.entries
            else item
            for item in stages.node.items
        )
        entries["stages"] = Entry(Items(items, stages.node.place), stages.key)
    return Keys(entries, root.place)


def _expanded(entry: Entry, directory: str, shown_from: str, found: Found) -> Entry:
    name = entry.node
    if not isinstance(name, Scalar) or not isinstance(name.value, str):
        return entry
    if path := _find(name.value, directory):
        shown = os.path.relpath(path, shown_from) if shown_from else str(path)
    elif shipped := _shipped(name.value):
        path, shown = shipped
    else:
        message = f"`cluster: {name.text}`: no such cluster file"
        hint = _known(name.value, directory)
        found.complain("cluster-not-found", name.place, message, path="cluster", hint=hint)
        return Entry(Broken(name.place), entry.key)
    node = _read(str(path), shown, found)
    return Entry(node, node.place)


def _read(path: str, shown: str, found: Found) -> Node:
    from launcher.loading.yaml_text import NotYamlError, read_yaml

    place = Place("cluster", shown)
    try:
        node = read_yaml(read_text(path), place=place, found=found, path="cluster")
    except UnreadableError as error:
        place = Place("cluster", shown, error.line, error.column)
        found.complain(error.code, place, str(error), path="cluster", hint=error.hint)
        return Broken(place)
    except NotYamlError as error:
        found.complain("yaml-syntax", error.place, str(error), path="cluster", hint=error.hint)
        return Broken(place)
    if isinstance(node, Keys) and node.entries:
        return node
    if node is None or isinstance(node, Keys):
        found.complain(
            "empty-recipe", place, "the cluster file holds no keys", path="cluster", hint="write `nodes: 1`"
        )
    elif not isinstance(node, Broken):
        found.complain("not-a-mapping", node.place, "expected `key: value` lines", path="cluster")
    return Broken(place)


def _find(name: str, directory: str) -> Path | None:
    candidates = [Path(directory, name), *(folder / f"{name}.yaml" for folder in _folders(directory))]
    return next((Path(os.path.normpath(path)) for path in candidates if _is_file(path)), None)


def _shipped(name: str) -> tuple[Path, str] | None:
    """The cluster of that name that the package brings, and what messages call it on every machine."""
    from launcher.loading.library import cluster_names, library_file, shown_in_library

    if name not in cluster_names():
        return None
    path = library_file(f"clusters/{name}")
    return path, shown_in_library(path)


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # a name too long for any file
        return False


def _folders(directory: str) -> list[Path]:
    """Where a repository keeps cluster files by name: beside the recipe, then beside each folder above it."""
    above = [Path(directory), *Path(directory).parents]
    return [folder / inner for folder in above for inner in ("clusters", "recipes/clusters")]


def _known(name: str, directory: str) -> str:
    """The nearest name that exists, or all of them."""
    from launcher.loading.library import cluster_names

    names = sorted(
        {file.stem for folder in _folders(directory) if folder.is_dir() for file in folder.glob("*.yaml")}
    )
    near = near_miss(name, [*cluster_names(), *names])
    if near:
        return f"did you mean `{near}`?"
    if not names:
        return (
            "no `clusters` folder here or above holds one; write the path of a file, or the keys themselves,"
            " or a name of `batchwright recipes clusters`"
        )
    more = ", ..." if len(names) > _MOST else ""
    return f"there are {', '.join(f'`{each}`' for each in names[:_MOST])}{more}"
