"""Every key of the whole schema, deleted, renamed and retyped: refused at its line, or the recipe differs."""

import json
import re
from pathlib import Path

import pytest

from launcher.errors import RecipeError
from launcher.loading import load_recipe
from launcher.loading.found import Found
from launcher.loading.tree import Place, plain
from launcher.loading.yaml_text import read_yaml
from launcher.spec.recipe import Recipe
from launcher.spec.shapes import section_of, walk

FULL = Path(__file__).parents[1] / "contract" / "full.yaml"
VALUES = plain(read_yaml(FULL.read_text(encoding="utf-8"), place=Place("recipe", "full.yaml"), found=Found()))
DEFAULTS = {path: key.default for path, key in walk(section_of(Recipe))}
DELETED = object()


def paths(value, path=()):
    """Paths of all keys below a value."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for name, inner in items:
        if isinstance(name, str):
            yield (*path, name)
        yield from paths(inner, (*path, name))


PATHS = list(paths(VALUES))


def changed(value, path, *, to=DELETED, name=None):
    """The same values with one key deleted, retyped or renamed."""
    head, rest = path[0], path[1:]
    if isinstance(value, list):
        return [changed(item, rest, to=to, name=name) if i == head else item for i, item in enumerate(value)]
    if rest:
        return {
            key: changed(item, rest, to=to, name=name) if key == head else item for key, item in value.items()
        }
    new = {(name if key == head and name else key): item for key, item in value.items()}
    if to is not DELETED:
        new[head] = to
    elif not name:
        del new[head]
    return new


def written(value, path=(), indent=""):
    """Lines of block YAML with the path that each is about: one line per key."""
    if isinstance(value, dict):
        for key, item in value.items():
            inner = (*path, key)
            nested = (isinstance(item, dict) and item) or (
                isinstance(item, list) and any(isinstance(part, dict) for part in item)
            )
            yield f"{indent}{key}:" + ("" if nested else f" {json.dumps(item)}"), inner
            if nested:
                yield from written(item, inner, indent + "  ")
    else:
        for index, item in enumerate(value):
            yield f"{indent}-", (*path, index)
            yield from written(item, (*path, index), indent + "  ")


def load(folder, values):
    """The recipe of values written as a file, or its RecipeError, and the path that each line is about."""
    lines = list(written(values))
    (folder / "full.yaml").write_text("\n".join(line for line, _ in lines), encoding="utf-8")
    try:
        return load_recipe(folder / "full.yaml"), [path for _, path in lines]
    except RecipeError as error:
        return error, [path for _, path in lines]


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    recipe, _ = load(tmp_path_factory.mktemp("whole"), VALUES)
    assert recipe == load_recipe(FULL)
    return recipe


def blamed(error, lines):
    """The paths of the lines that an error names."""
    return {lines[int(re.search(r":(\d+):\d+$", problem.where)[1]) - 1] for problem in error.problems}


def at(value, path):
    for part in path:
        value = value[part]
    return value


def value_at(recipe, path):
    for part in path:
        recipe = recipe[part] if isinstance(recipe, dict | tuple) else getattr(recipe, part)
    return recipe


def test_there_is_something_to_mutate():
    """The walk finds the keys of the whole schema that the contract's recipe writes."""
    assert len(PATHS) > 100
    assert ("stages", 0, "until") in PATHS


@pytest.mark.parametrize("path", PATHS, ids=lambda path: ".".join(map(str, path)))
def test_deleted(tmp_path, whole, path):
    """Without a key the recipe is refused at the section, or differs, or the key said what its default says."""
    recipe, lines = load(tmp_path, changed(VALUES, path))
    if isinstance(recipe, RecipeError):
        assert blamed(recipe, lines) == {path[:-1]}
    elif recipe == whole:
        assert value_at(whole, path) == DEFAULTS[".".join(part for part in path if isinstance(part, str))]


@pytest.mark.parametrize("path", PATHS, ids=lambda path: ".".join(map(str, path)))
def test_renamed(tmp_path, whole, path):
    """A key with a letter too many is unknown, at its line and with the right name as hint, or its reader's own."""
    name = f"{path[-1]}x"
    recipe, lines = load(tmp_path, changed(VALUES, path, name=name))
    if not isinstance(recipe, RecipeError):
        assert path == ("launch", "env", "NCCL_DEBUG")
        assert recipe != whole
        return
    assert {problem.code for problem in recipe.problems} <= {"unknown-key", "missing-key"}
    assert (*path[:-1], name) in blamed(recipe, lines)
    (unknown,) = [problem for problem in recipe.problems if problem.code == "unknown-key"]
    assert f"`{path[-1]}`" in unknown.hint


@pytest.mark.parametrize(
    "other", ["text", "7", 7, 1.5, True, None, [], ["text"], [7], {}, {"x": 1}], ids=repr
)
def test_retyped(tmp_path, whole, other):
    """A value of another type is refused at its own line, or it is legal there and the recipe differs."""
    for path in PATHS:
        if json.dumps(at(VALUES, path)) == json.dumps(other):
            continue
        recipe, lines = load(tmp_path, changed(VALUES, path, to=other))
        if isinstance(recipe, RecipeError):
            assert {found[: len(path)] for found in blamed(recipe, lines)} == {path}, path
        elif recipe == whole:
            default = DEFAULTS[".".join(part for part in path if isinstance(part, str))]
            assert other in (None, [], {}), path  # the three ways to say nothing
            assert value_at(whole, path) == default, path
