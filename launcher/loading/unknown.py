"""What a person may have meant by a key that a recipe does not have."""

from __future__ import annotations

import re
from functools import cache

from launcher.loading.near import near_miss
from launcher.loading.other_names import OTHER_NAMES
from launcher.loading.tree import below
from launcher.spec.recipe import Recipe
from launcher.spec.shapes import SectionShape, section_of, walk
from launcher.spec.words import joined

__all__ = ["meant_instead", "unknown_key_hint", "unknown_path_hint"]

_MOST = 3


def unknown_key_hint(name: str, *, shape: SectionShape, path: str, whole: bool = False) -> str:
    """The nearest key beside it, the same key elsewhere in a recipe, or what another tool's name is called here.

    whole: name the key beside it by its whole path too.
    """
    if "." in name and _exists(below(path, name)):
        outer, _, inner = name.rpartition(".")
        return f"write `{inner}` below `{below(path, outer)}:`"
    beside = _beside(name, shape)
    meant = [below(path, beside) if whole else beside] if beside else []
    meant += [other for other in _of_that_name(name, shape, path) if other not in meant]
    if not meant and _plain(name) in OTHER_NAMES:
        return OTHER_NAMES[_plain(name)]
    if not meant:
        meant = _nearly_of_that_name(name)
    return f"did you mean {joined([f'`{word}`' for word in meant[:_MOST]])}?" if meant else ""


def meant_instead(name: str, *, shape: SectionShape, path: str) -> list[str]:
    """Paths of all keys that may be meant by an unknown one, by its name alone."""
    if "." in name and _exists(below(path, name)):
        return [below(path, name)]
    beside = _beside(name, shape)
    meant = [below(path, beside)] if beside else []
    meant += _of_that_name(name, shape, path)
    advice = "" if meant else OTHER_NAMES.get(_plain(name), "")
    return (
        meant
        or [word for word in re.findall(r"[a-z_.]+", advice) if _exists(word)]
        or _nearly_of_that_name(name)
    )


def _beside(name: str, shape: SectionShape) -> str:
    return near_miss(name, [key.name for key in shape.keys])


def _of_that_name(name: str, shape: SectionShape, path: str) -> list[str]:
    """The same key below this section, then anywhere in a recipe."""
    below_here = (
        [below(path, inner) for inner, _ in walk(shape) if inner.endswith(f".{name}")] if path else []
    )
    elsewhere = [other for other in _paths() if other.rpartition(".")[2] == name]
    return list(dict.fromkeys([*below_here, *elsewhere]))


def _nearly_of_that_name(name: str) -> list[str]:
    leaf = near_miss(name, {other.rpartition(".")[2] for other in _paths()})
    return [other for other in _paths() if leaf and other.rpartition(".")[2] == leaf]


def unknown_path_hint(path: str) -> str:
    """The path of a recipe that a dotted one is a slip of; empty when none is close."""
    near = near_miss(path, [other for other in _paths() if other.count(".") == path.count(".")])
    return f"did you mean `{near}`?" if near else ""


@cache
def _paths() -> tuple[str, ...]:
    """Dotted paths of all keys of a recipe, those of stages left out: they repeat the others."""
    return tuple(path for path, _ in walk(section_of(Recipe)) if not path.startswith("stages."))


def _exists(path: str) -> bool:
    return path in _paths()


def _plain(name: str) -> str:
    return name.lower().replace("-", "_")
