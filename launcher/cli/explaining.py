"""A word of somebody's, turned into what `batchwright explain` knows about it; or the words it may be a slip of."""

from __future__ import annotations

import re
from dataclasses import asdict
from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple

from launcher.errors import CODES, LauncherError, Problem

if TYPE_CHECKING:
    from launcher.loading.excerpts import Excerpt
    from launcher.reporting.explaining.keys import KeyExample

__all__ = ["Answer", "answer", "everything", "words"]

_EXAMPLE = "quickstart/cpu-1x2"
"""The recipe of the library that numbers are shown of."""


class Answer(NamedTuple):
    """Lines for a screen, and the same for programs."""

    lines: list[str]
    facts: dict[str, Any]


def answer(word: str) -> Answer:
    """What is known of an error code, a key of a recipe, a number of a plan, a placeholder, or a row of the catalog.

    Raises LauncherError[nothing-to-explain] with the nearest words, or with all that have that name.
    """
    from launcher.planning.placeholders import NAMES
    from launcher.reporting.explaining.keys import key_paths
    from launcher.reporting.explaining.numbers import number_paths

    braces = bool(re.fullmatch(r"`?\{\w+\}`?", word.strip()))
    plain = _plain(word)
    if plain in CODES:
        return _code(plain)
    if braces and plain in NAMES:
        return _placeholder(plain)
    for paths, explain in ((key_paths(), _key), (number_paths(), _number)):
        if plain in paths:
            return explain(plain)
    for paths, explain in ((key_paths(), _key), (number_paths(), _number)):
        if named := _named(plain, paths):
            return _several(plain, named) if len(named) > 1 else explain(named[0])
    if plain in NAMES:
        return _placeholder(plain)
    if (row := _row(word.strip())) is not None:
        return row
    raise _unknown(word, plain)


def everything() -> Answer:
    """What may be asked for, by kind."""
    from launcher.planning.placeholders import NAMES
    from launcher.reporting.columns import labelled
    from launcher.reporting.explaining.keys import key_paths
    from launcher.reporting.explaining.numbers import number_paths

    keys = [path for path in key_paths() if not path.startswith("stages.")]
    top = [path for path in keys if "." not in path]
    blocks = [path for path in number_paths() if "." not in path]
    lines = [
        "batchwright explain WORD   an error code, a key of a recipe, a number of a plan, a {placeholder}",
        "",
        *labelled("keys", [", ".join(top), f"{len(keys)} in all: `batchwright explain model` lists those of model"]),
        *labelled("plan", [", ".join(blocks)]),
        *labelled("args", [", ".join(f"{{{name}}}" for name in NAMES)]),
        *labelled("codes", [", ".join(CODES)], hang=0),
    ]  # fmt: skip
    facts = {"codes": list(CODES), "keys": keys, "numbers": list(number_paths()), "placeholders": list(NAMES)}
    return Answer(lines, facts)


def words() -> list[str]:
    """Every word that is explained, as it is typed."""
    from launcher.catalog.devices import DEVICES
    from launcher.catalog.models import PRESETS
    from launcher.planning.placeholders import NAMES
    from launcher.reporting.explaining.keys import key_paths
    from launcher.reporting.explaining.numbers import number_paths

    return [*CODES, *key_paths(), *number_paths(), *(f"{{{name}}}" for name in NAMES), *DEVICES, *PRESETS]


def _code(code: str) -> Answer:
    from launcher.reporting.explaining.codes import code_lines, explain_code

    known = explain_code(code)
    return Answer(code_lines(known), {"kind": "code", **asdict(known)})


def _key(path: str) -> Answer:
    from launcher.reporting.explaining.keys import explain_key, key_lines

    known = explain_key(path, example=_written(path))
    return Answer(key_lines(known, also=_also(path, _key)), {"kind": "key", **asdict(known)})


def _number(path: str) -> Answer:
    from launcher.api import load_recipe, plan
    from launcher.loading.library import library_file
    from launcher.reporting.explaining.numbers import explain_number, number_lines

    made = plan(load_recipe(library_file(_EXAMPLE)), environ={}, measured=False)
    known = explain_number(path, plan=made, example=f"recipes/{_EXAMPLE}.yaml")
    return Answer(number_lines(known, also=_also(path, _number)), {"kind": "number", **asdict(known)})


def _row(name: str) -> Answer | None:
    """A device or a model of the catalog."""
    from launcher.catalog.devices import DEVICES
    from launcher.catalog.models import PRESETS
    from launcher.reporting.catalog_reference import device_lines, model_lines

    if name in DEVICES:
        return Answer(device_lines(DEVICES[name]), {"kind": "device", "row": asdict(DEVICES[name])})
    if name in PRESETS:
        return Answer(model_lines(name, PRESETS[name]), {"kind": "model", "row": PRESETS[name]._asdict()})
    return None


def _placeholder(name: str) -> Answer:
    from launcher.api import load_recipe, plan
    from launcher.loading.library import library_file
    from launcher.planning.placeholders import placeholder_values
    from launcher.reporting.explaining.numbers import PlaceholderExplained, number_lines

    made = plan(load_recipe(library_file(_EXAMPLE)), environ={}, measured=False)
    value = placeholder_values(made, files=())[name]
    known = PlaceholderExplained(name=name, value=value, example=f"recipes/{_EXAMPLE}.yaml")
    return Answer(number_lines(known), {"kind": "placeholder", **asdict(known)})


def _written(path: str) -> KeyExample:
    """How a recipe of the library writes a key; else how one of the tests does."""
    from launcher.loading.library import cluster_names, recipe_names
    from launcher.reporting.examples import key_examples
    from launcher.reporting.explaining.keys import KeyExample

    names = [
        *recipe_names(),
        *(f"clusters/{name}" for name in cluster_names() if path.startswith("cluster.")),
    ]
    for name in names:
        if found := _excerpts(name).get(path):
            return KeyExample(place=f"recipes/{name}.yaml:{found.line}", lines=found.lines)
    if path not in key_examples() and path.startswith(
        "stages."
    ):  # a stage writes it as the whole recipe does
        return _written(path.removeprefix("stages."))
    return KeyExample(place="", lines=tuple(key_examples().get(path, {"lines": ()})["lines"]))


@cache
def _excerpts(name: str) -> dict[str, Excerpt]:
    from launcher.loading.excerpts import excerpts
    from launcher.loading.library import library_file

    text = library_file(name).read_text("utf-8")
    return excerpts(text, prefix="cluster" if name.startswith("clusters/") else "")


def _also(path: str, asked: object) -> str:
    """What else has the last name of a path."""
    from launcher.planning.placeholders import NAMES
    from launcher.reporting.explaining.keys import key_paths
    from launcher.reporting.explaining.numbers import number_paths

    last = _last(path)
    numbers = [other for other in number_paths() if _last(other) == last and "." in other]
    keys = [other for other in key_paths() if _last(other) == last]
    others, where = (keys, "recipe") if asked is _number else (numbers, "plan")
    shown = [f"`{other}` of a {where}" for other in others[:4]]
    return ", ".join(shown + ([f"placeholder `{{{last}}}`"] if last in NAMES else []))


def _plain(word: str) -> str:
    """A path as the tables have it: without quotes, braces, a trailing colon, a value, and numbers of list items."""
    bare = re.sub(r"\[(\d+)\]", r".\1", word.strip().strip("`'\":"))
    bare = bare.removeprefix("--set ").partition("=")[0].partition(": ")[0].strip().strip("{}[]").rstrip(":")
    return ".".join(part for part in bare.split(".") if not part.isdecimal())


def _last(path: str) -> str:
    return path.rpartition(".")[2]


def _named(last: str, paths: tuple[str, ...]) -> list[str]:
    """Paths that end in a name; those of stages only where there is no other: they repeat the others."""
    found = [path for path in paths if path.endswith(f".{last}")]
    return [path for path in found if not path.startswith("stages.")] or found


def _several(word: str, named: list[str]) -> Answer:
    from launcher.reporting.columns import table
    from launcher.reporting.explaining.keys import key_paths, meaning_of
    from launcher.reporting.explaining.numbers import meaning_of_number

    meanings = {path: (meaning_of if path in key_paths() else meaning_of_number)(path) for path in named}
    lines = [f"{len(named)} have the name `{word}`; ask for one by its whole path", ""]
    facts = {"kind": "several", "name": word, "paths": meanings}
    return Answer([*lines, *table(("path", "means"), list(meanings.items()))], facts)


def _unknown(word: str, plain: str) -> LauncherError:
    from difflib import get_close_matches

    from launcher.loading.other_names import OTHER_NAMES
    from launcher.loading.tree import shown_path

    all_words = words()
    elsewhere = [known for known in all_words if "." in plain and _last(known) == _last(plain)]
    lasts: dict[str, str] = {}
    for known in all_words:
        lasts.setdefault(known, known)
        lasts.setdefault(_last(known), known)
    near = get_close_matches(plain[:80].lower(), lasts, n=3, cutoff=0.7)
    if len(plain) > 2:
        near = near or [known for known in all_words if known.startswith(plain.lower())]
    meant = list(dict.fromkeys([*elsewhere, *(lasts[each] for each in near)]))[:3]
    hint = (
        f"did you mean {' or '.join(f'`{each}`' for each in meant)}?"
        if meant
        else "`batchwright explain` lists all"
    )
    if not elsewhere:
        hint = OTHER_NAMES.get(_last(plain).lower().replace("-", "_"), hint)
    message = (
        f"`{shown_path(word)}` is no error code, no key of a recipe, no number of a plan and no placeholder"
    )
    return LauncherError([Problem(code="nothing-to-explain", message=message, hint=hint)])
