"""Dimensions from a preset of the catalog or from a Hugging Face config.json, in place of written ones."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import fields, replace
from pathlib import Path
from typing import Any, get_args, get_type_hints

from launcher.loading.catalogs import Catalogs
from launcher.loading.files import UnreadableError, read_text
from launcher.loading.found import Found
from launcher.loading.near import near_miss
from launcher.loading.tree import Place
from launcher.spec.marks import Mark
from launcher.spec.model import Model
from launcher.spec.recipe import Recipe

__all__ = ["with_dimensions"]

_TOP = "hidden_size"
_MOST = 6


def with_dimensions(
    recipe: Recipe, *, directory: str, shown_from: str, catalogs: Catalogs, found: Found
) -> Recipe:
    """The recipe with the dimensions of its preset or config filled in; what is also written must agree.

    Filled values are marked as derived, with the name they come from.
    """
    model = recipe.model
    if sum(each is not None for each in (model.preset, model.config, model.module)) != 1:
        return recipe  # none, or several, which planning refuses
    if model.preset is not None:
        return _from_preset(recipe, model.preset, catalogs, found)
    if model.config is not None:
        path = os.path.normpath(Path(directory, model.config))
        shown = os.path.relpath(path, shown_from) if shown_from else path
        return _from_config(recipe, path, shown, found)
    return recipe


def _from_preset(recipe: Recipe, name: str, catalogs: Catalogs, found: Found) -> Recipe:
    presets = catalogs.all_presets
    preset = presets.get(name)
    if preset is None:
        near = near_miss(name, sorted(presets))
        hint = f"did you mean `{near}`?" if near else _nearest(name, presets)
        message = f"`model.preset: {name}` is not in the catalog"
        found.complain(
            "unknown-preset", _place(found, "model.preset"), message, path="model.preset", hint=hint
        )
        return recipe
    dims = dict(preset.model)
    if preset.hidden_size is not None:
        dims[_TOP] = preset.hidden_size
    own = catalogs.places.get(f"models.{name}")
    return _filled(recipe, dims, f"preset {name}" if own is None else f"preset {name} of {own}", found)


def _nearest(name: str, presets: Mapping[str, Any]) -> str:
    """A few names that are least unlike, of very many."""
    from difflib import get_close_matches

    some = get_close_matches(name, presets, n=_MOST, cutoff=0.0)
    return f"write one of {', '.join(some)}, or another of the {len(presets)} in docs/reference/catalog.md"


def _from_config(recipe: Recipe, path: str, shown: str, found: Found) -> Recipe:
    from launcher.loading.hugging_face import dimensions_of, known_types

    def complain(code: str, message: str, hint: str = "") -> Recipe:
        found.complain(code, _place(found, "model.config"), message, path="model.config", hint=hint)
        return recipe

    written = f"`model.config: {recipe.model.config}`"
    try:
        config = json.loads(read_text(path))
    except UnreadableError as error:
        return complain(error.code, f"{written}: {error}", error.hint)
    except ValueError as error:
        return complain("bad-config", f"{written} is not JSON: {error}", "name a Hugging Face config.json")
    if not isinstance(config, dict):
        return complain("bad-config", f"{written} holds no keys", "name a Hugging Face config.json")
    try:
        dims = dimensions_of(config)
    except KeyError as error:
        known = ", ".join(known_types())
        message = f"{written} is of model_type {error}, which is not read"
        return complain("bad-config", message, f"write the dimensions, or use one of {known}")
    wrong = _unfit(dims) or _unknown_activation(dims)
    if wrong:
        return complain("bad-config", f"{written}: {wrong}")
    return _filled(recipe, dims, shown, found)


def _unfit(dims: Mapping[str, Any]) -> str:
    """What cannot be a dimension: text, zero, a fraction."""
    for key, value in dims.items():
        is_count = isinstance(value, int) and not isinstance(value, bool) and value > 0
        names = key == _TOP or key.endswith(("_size", "_heads", "_layers", "_experts", "_dim"))
        if names and not is_count and value != 0:
            return f"`{key}` is {value!r}; expected a whole number above 0"
    return ""


def _unknown_activation(dims: Mapping[str, Any]) -> str:
    activation, known = dims.get("activation"), get_args(get_type_hints(Model)["activation"])
    return "" if activation in known else f"activation {activation!r} is none of {', '.join(known)}"


def _filled(recipe: Recipe, dims: Mapping[str, Any], source: str, found: Found) -> Recipe:
    unset, known = Model(), {item.name for item in fields(Model)}
    model: dict[str, Any] = {}
    hidden = recipe.hidden_size
    for key, value in dims.items():
        path = key if key == _TOP else f"model.{key}"
        if path in found.marks:
            _agree(recipe, path, value, source, found)
        elif key == _TOP:
            hidden = value
            found.marks[path] = Mark(origin="derived", file=source)
        elif key in known and value != getattr(unset, key):
            model[key] = value
            found.marks[path] = Mark(origin="derived", file=source)
    return replace(recipe, hidden_size=hidden, model=replace(recipe.model, **model))


def _agree(recipe: Recipe, path: str, value: Any, source: str, found: Found) -> None:
    head, _, key = path.rpartition(".")
    written = getattr(recipe.model if head else recipe, key)
    if written != value:
        message = f"`{path}: {written}` differs from {source}, which has {value}"
        found.complain(
            "ambiguous-model",
            _place(found, path),
            message,
            path=path,
            hint=f"drop it, or write {path}: {value}",
        )


def _place(found: Found, path: str) -> Place:
    mark = found.marks.get(path)
    return Place("recipe") if mark is None else Place(mark.origin, mark.file, mark.line, mark.column)
