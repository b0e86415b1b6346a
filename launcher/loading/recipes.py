"""A recipe from a file or a mapping: read, overridden, checked against the types, all problems at once."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from launcher.errors import Problem, RecipeError
from launcher.loading.catalogs import read_catalogs
from launcher.loading.clusters import with_clusters
from launcher.loading.dimensions import with_dimensions
from launcher.loading.files import UnreadableError, read_text
from launcher.loading.found import Found
from launcher.loading.overrides import apply_override, parse_override
from launcher.loading.plain_values import tree_of
from launcher.loading.reader import read
from launcher.loading.stages import with_stages
from launcher.loading.tree import Broken, Entry, Keys, Node, Place, Scalar, plain, shown, shown_path
from launcher.loading.yaml_text import NotYamlError, read_yaml
from launcher.planning.consequences import is_own_fault
from launcher.spec.recipe import Recipe
from launcher.spec.shapes import section_of

__all__ = ["Salvaged", "load_recipe", "salvage_recipe"]

_SCHEMA = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class _Source:
    """Where a recipe comes from: its text, its absolute folder, the folder that paths are shown from, its name."""

    text: str
    directory: str
    shown_from: str
    name: str | None
    root: Keys


@dataclass(frozen=True, slots=True, kw_only=True)
class Salvaged:
    """What of a recipe can be read, whatever is wrong with the rest."""

    recipe: Recipe
    problems: tuple[Problem, ...]
    lost: frozenset[str]
    """Dotted paths of keys that may have meant something else than what stands in the recipe."""


def load_recipe(
    source: str | os.PathLike[str] | Mapping[str, Any], *, overrides: Sequence[str] = ()
) -> Recipe:
    """The recipe of a file (a path) or of a mapping.

    overrides: `path=value` as after `--set`, applied in order. Raises RecipeError with every problem found.
    """
    salvaged = salvage_recipe(source, overrides=overrides)
    if salvaged.problems:
        raise RecipeError(salvaged.problems)
    return salvaged.recipe


def salvage_recipe(
    source: str | os.PathLike[str] | Mapping[str, Any], *, overrides: Sequence[str] = ()
) -> Salvaged:
    """The recipe without the keys that cannot be read, and every problem found.

    Raises RecipeError where there are no keys at all, or where they are those of a later schema.
    """
    found = Found()
    made = (
        _from_mapping(source, found) if isinstance(source, Mapping) else _from_file(os.fspath(source), found)
    )
    root = made.root
    for turn, text in enumerate(overrides):
        override = parse_override(text, found, turn=turn)
        if override is None:
            continue
        if "cluster" in override.path.split(".")[:-1]:  # a key of a cluster that is still only a name
            root = _clusters(root, made, found)
        root = apply_override(root, override, found)
    _check_schema(root)
    root = _clusters(root, made, found)
    recipe = read(section_of(Recipe), Entry(root, root.place), "", found)
    assert isinstance(recipe, Recipe)  # no key of it must be written
    rows = Found()
    catalogs = read_catalogs(directory=made.directory, shown_from=made.shown_from, found=rows)
    if rows.problems():  # any of them may be the row that the recipe names
        rows.lost.update(("cluster.device", "cluster.groups", "model.preset"))
    found.add(rows)
    filled = Found(marks=found.marks)
    recipe = with_dimensions(
        recipe, directory=made.directory, shown_from=made.shown_from, catalogs=catalogs, found=filled
    )
    recipe = with_stages(recipe, found=filled)
    lost = frozenset(found.lost)
    found.add(filled, only=lambda problem: is_own_fault(problem, lost))
    recipe = replace(
        recipe,
        name=recipe.name or made.name,
        marks=found.marks,
        directory=made.directory,
        source=made.text,
        devices=tuple(catalogs.devices.values()),
    )
    return Salvaged(recipe=recipe, problems=found.problems(), lost=frozenset(found.lost))


def _from_file(path: str, found: Found) -> _Source:
    called = shown_path(path)
    try:
        text = read_text(path)
        root = read_yaml(text, place=Place("recipe", called), found=found)
    except UnreadableError as error:
        found.complain(
            error.code, Place("recipe", called, error.line, error.column), str(error), hint=error.hint
        )
        raise RecipeError(found.problems()) from None
    except NotYamlError as error:
        found.complain("yaml-syntax", error.place, str(error), hint=error.hint)
        raise RecipeError(found.problems()) from None
    absolute = Path(path).absolute()
    return _Source(
        text=text,
        directory=str(absolute.parent),
        shown_from="" if Path(path).is_absolute() else str(Path.cwd()),
        name=absolute.stem,
        root=_keys_of(root, Place("recipe", called), found),
    )


def _from_mapping(values: Mapping[str, Any], found: Found) -> _Source:
    place = Place("recipe")
    root = _keys_of(tree_of(values, place=place, found=found), place, found)
    here = str(Path.cwd())
    text = json.dumps(plain(root), indent=2)  # JSON is YAML: a run folder can hold it like any recipe
    return _Source(text=text, directory=here, shown_from=here, name=None, root=root)


def _keys_of(root: Node | None, place: Place, found: Found) -> Keys:
    """The root as keys; raises RecipeError where there are none."""
    if isinstance(root, Keys) and root.entries:
        return root
    if isinstance(root, Keys | Broken) and found.problems():
        pass  # what it holds was refused piece by piece
    elif root is None or isinstance(root, Keys) or (isinstance(root, Scalar) and not root.text):
        hint = "start with the three numbers: global_batch_size, sequence_length, hidden_size"
        found.complain("empty-recipe", place, "the recipe holds no keys", hint=hint)
    else:
        found.complain("not-a-mapping", root.place, f"`{shown(root)}`: expected `key: value` lines")
    raise RecipeError(found.problems())


def _clusters(root: Keys, made: _Source, found: Found) -> Keys:
    return with_clusters(root, directory=made.directory, shown_from=made.shown_from, found=found)


def _check_schema(root: Keys) -> None:
    """Raises RecipeError for a schema from the future, and says nothing else: the rest may be right there."""
    entry = root.entries.get("schema")
    node = entry.node if entry else None
    if not isinstance(node, Scalar) or isinstance(node.value, bool | str | None) or node.value <= _SCHEMA:
        return
    alone = Found()
    message = f"`schema: {node.text}`: this version reads schema {_SCHEMA}"
    hint = f"upgrade batchwright, or write `schema: {_SCHEMA}`"
    alone.complain("schema-too-new", node.place, message, path="schema", hint=hint)
    raise RecipeError(alone.problems())
