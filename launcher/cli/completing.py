"""What may stand at the cursor of a command line, for the shell's TAB key; argcomplete speaks with the shell.

Which completer an argument gets follows from its metavar, so that no command knows of this module. A TAB press is a
start of the program: only the command that was typed is imported, and only what its argument needs is read.

Source: argcomplete 3.x (Apache-2.0, no dependencies of its own), https://kislyuk.github.io/argcomplete/.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

__all__ = ["complete", "typed_command"]

Completions = Mapping[str, str] | Iterable[str]
"""Words, or words with what they mean."""


def typed_command(line: str, commands: Sequence[str]) -> str | None:
    """The command of a line that is being typed; None while it is still to be completed itself."""
    words = line.split()
    named = words[1] if len(words) > 2 or (len(words) == 2 and line[-1:].isspace()) else None
    return named if named in commands else None


def complete(parser: argparse.ArgumentParser) -> None:
    """Answers the shell and ends the process; returns at once where no shell asks."""
    import argcomplete
    from argcomplete.completers import SuppressCompleter

    _attach(parser)
    argcomplete.autocomplete(parser, always_complete_options=False, default_completer=SuppressCompleter())


def _attach(parser: argparse.ArgumentParser) -> None:
    for action in parser._actions:  # noqa: SLF001 - argparse has no other way to see them
        if isinstance(action, argparse._SubParsersAction):  # noqa: SLF001
            for inner in action.choices.values():
                _attach(inner)
        elif action.metavar in _COMPLETERS:
            action.completer = _COMPLETERS[str(action.metavar)]  # type: ignore[attr-defined]


def _recipes(prefix: str, **_asked: Any) -> Completions:
    return [*_files(prefix, (".yaml", ".yml")), *_folders(prefix)]


def _any_files(prefix: str, **_asked: Any) -> Completions:
    return [*_files(prefix), *_folders(prefix)]


def _only_folders(prefix: str, **_asked: Any) -> Completions:
    return _folders(prefix)


def _runs(prefix: str, **_asked: Any) -> Completions:
    """Names of runs below ./runs, the newest last, and folders."""
    try:
        names = sorted(entry.name for entry in os.scandir("runs") if entry.is_dir() and entry.name[0] != ".")
    except OSError:
        names = []
    return [*(name for name in names if name.startswith(prefix)), *_folders(prefix)]


def _recipes_or_runs(prefix: str, **asked: Any) -> Completions:
    return dict.fromkeys([*_recipes(prefix, **asked), *_runs(prefix, **asked)])


def _explained(prefix: str, **_asked: Any) -> Completions:
    """Codes and keys; numbers of a plan and placeholders once something of them is typed."""
    from launcher.cli.explaining import words
    from launcher.errors import CODES

    meanings = {word: CODES[word].meaning if word in CODES else "" for word in words()}
    shown = {word: text for word, text in meanings.items() if prefix or not word.startswith(("stages.", "{"))}
    return {word: text for word, text in shown.items() if word.startswith(prefix)}


def _library(parsed_args: argparse.Namespace, **_asked: Any) -> Completions:
    """Names of the library, and the two words that are no names."""
    from launcher.loading.library import recipe_names

    first = not getattr(parsed_args, "words", None)
    words = {"copy": "copy one of them", "clusters": "list the machines"} if first else {}
    return {**words, **dict.fromkeys(recipe_names(), "")}


def _overrides(prefix: str, **_asked: Any) -> Completions:
    """Paths of keys with a `=`, and behind it the words that the key takes."""
    from launcher.reporting.explaining.keys import choices_of, key_paths

    path, equals, _ = prefix.partition("=")
    if equals:
        plain = ".".join(part for part in path.split(".") if not part.isdecimal())
        return [f"{path}={word}" for word in (*choices_of(plain), *_named(plain))]
    return [
        f"{path}=" for path in key_paths() if prefix.startswith("stages") or not path.startswith("stages.")
    ]


def _named(path: str) -> Iterable[str]:
    """Words that only a table knows: engines, devices, models, clusters."""
    match path:
        case "launch.engine" | "launch.executor":
            from launcher.discovery.plugins import plugin_names

            return [info.name for info in plugin_names(f"launcher.{path.rpartition('.')[2]}s")]
        case "cluster":
            from launcher.loading.library import cluster_names

            return cluster_names()
        case "cluster.device":
            from launcher.catalog.devices import DEVICES

            return DEVICES
        case "model.preset":
            from launcher.catalog.models import PRESETS

            return PRESETS
        case _:
            return ()


def _files(prefix: str, endings: tuple[str, ...] = ("",)) -> list[str]:
    return [path for path, folder in _beside(prefix) if not folder and path.endswith(endings)]


def _folders(prefix: str) -> list[str]:
    return [f"{path}/" for path, folder in _beside(prefix) if folder]


def _beside(prefix: str) -> list[tuple[str, bool]]:
    """What lies in the folder of a half-typed path and begins as it does; hidden names once their dot is typed."""
    folder, _, name = prefix.rpartition("/")
    place = Path(f"{folder}/" if folder or prefix.startswith("/") else ".").expanduser()
    before = f"{folder}/" if "/" in prefix else ""
    try:
        entries = sorted(os.scandir(place), key=lambda entry: entry.name)
        return [
            (f"{before}{entry.name}", entry.is_dir())
            for entry in entries
            if entry.name.startswith(name) and (entry.name[0] != "." or name.startswith("."))
        ]
    except OSError:
        return []


_COMPLETERS: dict[str, Callable[..., Completions]] = {
    "A": _recipes,
    "B": _recipes,
    "CODE|FIELD": _explained,
    "DIR": _only_folders,
    "FILE": _any_files,
    "FOLDER": _only_folders,
    "PATH": _recipes,
    "PATH=VALUE": _overrides,
    "RECIPE": _recipes,
    "RECIPE_OR_RUN": _recipes_or_runs,
    "RUN": _runs,
    "SOURCE": _any_files,
    "WORD": _library,
}
