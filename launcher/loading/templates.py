"""A site's own job file, read beside the recipe."""

from __future__ import annotations

import posixpath
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from launcher.errors import Problem, RecipeError
from launcher.loading.files import UnreadableError, read_text
from launcher.loading.found import Found
from launcher.loading.tree import Keys, Place, plain, shown_path
from launcher.spec.place import TemplatePlan
from launcher.spec.recipe import Recipe

__all__ = ["with_template"]

_PATH = "launch.template"
_MANIFESTS = "kubernetes"
"""The executor whose job files are YAML."""
_HINTS = {
    "several-documents": "keep the Job; what it needs beside it stays in a file of its own",
    "leading-zero": "write modes as decimal numbers: 0644 is 420",
}
"""Where a manifest wants other advice than a recipe."""


def with_template(recipe: Recipe) -> Recipe:
    """The recipe with the text of launch.template, and with its content where it is a Kubernetes manifest.

    A path that is not absolute is taken from the recipe's folder. A manifest is read as strictly as a recipe: one
    document, no key twice, no anchors. Raises RecipeError.
    """
    name = recipe.launch.template
    if name is None:
        return recipe
    shown = _shown(recipe, name)
    try:
        text = read_text(str(Path(recipe.directory, name)))
    except UnreadableError as error:
        raise RecipeError([_unreadable(error, name, shown, recipe)]) from None
    content = _manifest(text, shown) if recipe.launch.executor == _MANIFESTS else None
    return replace(recipe, template=TemplatePlan(name=name, text=text, manifest=content))


def _manifest(text: str, shown: str) -> Mapping[str, Any]:
    from launcher.loading.yaml_text import NotYamlError, read_yaml

    found, place = Found(), Place("recipe", shown)
    root = None
    try:
        root = read_yaml(text, place=place, found=found, path=_PATH)
    except NotYamlError as error:
        found.complain("template-unreadable", error.place, str(error), path=_PATH, hint=error.hint)
    if not found.problems() and not isinstance(root, Keys):
        message = "expected a Kubernetes manifest: `key: value` lines"
        found.complain("template-unreadable", place, message, path=_PATH, hint="start with `kind: Job`")
    if problems := found.problems():
        raise RecipeError(replace(each, hint=_HINTS.get(each.code, each.hint)) for each in problems)
    assert root is not None
    content: Mapping[str, Any] = plain(root)
    return content


def _unreadable(error: UnreadableError, name: str, shown: str, recipe: Recipe) -> Problem:
    """At the byte that is to blame, else at the key that names the file."""
    mark = recipe.marks.get(_PATH)
    return Problem(
        code="template-unreadable",
        path=_PATH,
        message=f"`{_PATH}: {shown_path(name)}`: {error}",
        where=f"{shown}:{error.line}:{error.column}" if error.line else str(mark or ""),
        hint=error.hint or "the path is taken from the recipe's folder",
    )


def _shown(recipe: Recipe, name: str) -> str:
    """The file as a person would name it from where the recipe's own name leads."""
    named = next((mark.file for mark in recipe.marks.values() if mark.origin == "recipe"), "")
    return shown_path(posixpath.normpath(posixpath.join(posixpath.dirname(named), name)))
