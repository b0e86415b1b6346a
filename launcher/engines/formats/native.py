"""Keys and flags of other tools that a recipe does not know: merged last, refused where the plan owns them."""

from __future__ import annotations

from collections.abc import Mapping
from json import dumps
from typing import Any

from launcher.errors import Problem

__all__ = ["flag_problems", "key_problems", "leaves", "merged", "unused_problems"]


def merged(base: Mapping[str, Any], native: Mapping[str, Any]) -> dict[str, Any]:
    """Base with native's keys put in, mapping by mapping, so that `zero_optimization: {x: 1}` keeps its siblings."""
    result = dict(base)
    for key, value in native.items():
        inner = result.get(key)
        both = isinstance(inner, Mapping) and isinstance(value, Mapping)
        result[key] = merged(inner, value) if both else value  # type: ignore[arg-type]
    return result


def leaves(tree: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Dotted path to value, for everything that is not a mapping with keys."""
    found: dict[str, Any] = {}
    for key, value in tree.items():
        path = f"{prefix}{key}"
        if isinstance(value, Mapping) and value:
            found.update(leaves(value, f"{path}."))
        else:
            found[path] = value
    return found


def key_problems(native: Mapping[str, Any], owned: Mapping[str, str], *, path: str) -> tuple[Problem, ...]:
    """Keys of native that the plan owns. owned: dotted key -> the recipe key to write instead; path: in the recipe."""
    found = []
    for key, value in leaves(native).items():
        owner = _owner(key, owned)
        if owner is not None:
            found.append(
                Problem(
                    code="native-owns-key",
                    path=f"{path}.{key}",
                    message=f"`{path}.{key}: {dumps(value)}` sets what the plan owns",
                    hint=owned[owner],
                )
            )
    return tuple(found)


def flag_problems(argv: tuple[str, ...], owned: Mapping[str, str]) -> tuple[Problem, ...]:
    """Flags of launch.native.argv that the engine renders, and words that would be taken for the script.

    owned: flag without dashes, words joined by `_` -> the recipe key to write instead. A shortened flag
    (`--nproc`) is the flag: argparse completes it.
    """
    found = []
    for at, word in enumerate(argv):
        path = f"launch.native.argv.{at}"
        if (at == 0 and not word.startswith("-")) or word in {"-", "--"} or "\0" in word:
            found.append(
                Problem(
                    code="native-owns-key",
                    path=path,
                    message=f"`{word}` is no flag: the engine would take what follows for the script",
                    hint="write launch.script or launch.module for the script, launch.args for its arguments",
                )
            )
            continue
        flag = _owned_flag(word, owned)
        if flag:
            found.append(
                Problem(
                    code="native-owns-key",
                    path=path,
                    message=f"`{word}` sets what the plan owns",
                    hint=owned[flag],
                )
            )
    return tuple(found)


def unused_problems(native: Mapping[str, Mapping[str, Any]], *, engine: str) -> tuple[Problem, ...]:
    """A note for each block that this engine never reads: it is kept for the engine it names, not dropped."""
    return tuple(
        Problem(
            code="not-yet-used",
            severity="note",
            path=f"launch.native.{block}",
            message=f"`launch.native.{block}` is not used with `launch.engine: {engine}` and this strategy",
        )
        for block, keys in native.items()
        if keys
    )


def _owner(key: str, owned: Mapping[str, str]) -> str | None:
    """The owned key that this one is, lies under, or would replace together with its siblings."""
    for owner in owned:
        if key == owner or key.startswith(f"{owner}.") or owner.startswith(f"{key}."):
            return owner
    return None


def _owned_flag(word: str, owned: Mapping[str, str]) -> str | None:
    if not word.startswith("-"):
        return None
    name = word.lstrip("-").partition("=")[0].replace("-", "_")
    if not word.startswith("--"):
        return name if name in owned and len(name) == 1 else None
    return next((flag for flag in owned if len(flag) > 1 and name and flag.startswith(name)), None)
