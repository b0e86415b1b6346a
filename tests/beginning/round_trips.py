"""A recipe rendered, its plan deleted, begun anew; and what `init` says is missing put back by hand."""

from __future__ import annotations

import io
import json
from copy import deepcopy
from pathlib import Path

from launcher.api import load_recipe, plan
from launcher.cli.main import main
from launcher.reporting.recipe_text import recipe_text
from launcher.reporting.recipe_values import recipe_values

ENVIRON = {"PATH": "/usr/bin"}


class RefusedError(Exception):
    """No bundle comes of a recipe."""


def rendered(recipe, folder):
    """The folder as `batchwright render` leaves it, without plan.json; and the line that it printed."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder.parent / f"{folder.name}.yaml"
    path.write_text(recipe_text(recipe), encoding="utf-8")
    (folder.parent / "hosts").write_text("a slots=2\nb slots=2\n")
    said, told = io.StringIO(), io.StringIO()
    code = main(["render", str(path), "-o", str(folder)], environ=ENVIRON, stdout=said, stderr=told)
    if code != 0:
        raise RefusedError(told.getvalue())
    (folder / "plan.json").unlink()
    return load_recipe(path), said.getvalue()


def begun(*words):
    """What `init --json` says."""
    said, told = io.StringIO(), io.StringIO()
    code = main(["init", "--json", *map(str, words)], environ=ENVIRON, stdout=said, stderr=told)
    assert code == 0, told.getvalue()
    return json.loads(said.getvalue())


def with_the_missing(found, recipe):
    """The begun recipe with the values that the recipe has at every missing path, and nothing else."""
    values, original = spread(found["recipe"]), spread(recipe_values(recipe))
    for entry in found["missing"]:
        written = at(original, entry["path"])
        if written is not None:
            for other in entry["instead_of"]:
                put(values, other, None)
        put(values, entry["path"], written)
    for section in ("precision", "parallel", "cluster"):
        if values.get(section) == {}:
            del values[section]
    return values


def spread(values):
    """With the short forms of sections written out."""
    values = deepcopy(dict(values))
    if isinstance(values.get("precision"), str):
        values["precision"] = {} if values["precision"] == "auto" else {"compute": values["precision"]}
    return values


def at(values, path):
    for part in path.split("."):
        if isinstance(values, list):
            values = values[int(part)] if int(part) < len(values) else None
        else:
            values = values.get(part) if isinstance(values, dict) else None
        if values is None:
            return None
    return values


def put(values, path, value):
    *above, last = path.split(".")
    for part in above:
        values = values[int(part)] if isinstance(values, list) else values.setdefault(part, {})
    if isinstance(values, list):
        values[int(last)] = value
    elif value is None:
        values.pop(last, None)
    else:
        values[last] = value


def planned(values, folder: Path):
    path = folder / "begun.yaml"
    path.write_text(recipe_text(values), encoding="utf-8")
    return plan(load_recipe(path), environ=ENVIRON)
