"""Files of other tools as text and plain values; whatever cannot be read is said with its place."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from launcher.errors import Problem, RecipeError
from launcher.loading.files import UnreadableError, read_text
from launcher.loading.found import Found
from launcher.loading.tree import Keys, Place, plain, shown_path
from launcher.loading.yaml_text import NotYamlError, read_yaml

__all__ = ["OtherFile", "folder_files", "read_other_file", "short_path"]

_ZIP, _PICKLE = b"PK\x03\x04", b"\x80"
_KEY_LINE = re.compile(r"""^\s*["']?[A-Za-z_][\w.-]*["']?\s*:(\s|$)""", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class OtherFile:
    """One file as it was read."""

    path: Path
    shown: str
    text: str
    values: Mapping[str, Any] | None
    """Its keys, where it is JSON or YAML with keys; None for any other text."""


def folder_files(path: str) -> list[Path]:
    """The files of a folder, by name; hidden ones are not looked at. Raises RecipeError."""
    try:
        return sorted(
            each for each in Path(path).iterdir() if each.is_file() and not each.name.startswith(".")
        )
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise _refused("file-not-found", shown_path(path), f"this folder cannot be read: {reason}") from None


def read_other_file(path: str) -> OtherFile:
    """Text and keys of a file. Raises RecipeError."""
    shown = shown_path(path)
    _check_binary(path, shown)
    try:
        text = read_text(path)
    except UnreadableError as error:
        where = f"{shown}:{error.line}:{error.column}" if error.line else shown
        raise _refused(error.code, where, str(error), error.hint) from None
    if not text.strip():
        raise _refused(
            "source-unknown", shown, "the file is empty", "name a file that holds what the run is made of"
        )
    return OtherFile(path=Path(path), shown=shown, text=text, values=_values(text, shown))


def short_path(path: Path) -> str:
    """A short name where it lies below this folder."""
    try:
        return str(path.relative_to(Path.cwd()))
    except ValueError:
        return str(path)


def _check_binary(path: str, shown: str) -> None:
    """A pickle is a program: it is not opened, and what it holds can be printed by those who trust it."""
    try:
        with Path(path).open("rb") as file:
            start = file.read(4096)
    except (OSError, ValueError):
        return  # reading the text says it better
    if start.startswith((_ZIP, _PICKLE)):
        printed = "import torch; print(torch.load('FILE', weights_only=False).to_json_string())"
        hint = f'print what it holds, if you trust it: python -c "{printed}" > arguments.json'
        message = "a pickle, as training_args.bin is: reading it would run whatever it holds"
        raise _refused("source-binary", shown, message, hint)
    if b"\0" in start:
        message = "not text"
        raise _refused(
            "source-binary", shown, message, "name a JSON, a YAML, or a script with a command line"
        )


def _values(text: str, shown: str) -> Mapping[str, Any] | None:
    stripped = text.lstrip()
    if stripped.startswith("{"):
        return _json(text, shown)
    if stripped.startswith(("#!", "[")) or not any(_KEY_LINE.match(line) for line in text.splitlines()[:400]):
        return None
    found = Found()
    try:
        tree = read_yaml(text, place=Place("recipe", shown), found=found)
    except NotYamlError as error:
        first = next(line for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#"))
        if not _KEY_LINE.match(first):
            return None
        raise _refused("yaml-syntax", str(error.place), str(error), error.hint) from None
    if not isinstance(tree, Keys):
        return None
    if problems := found.problems():
        raise RecipeError(problems)
    values = plain(tree)
    assert isinstance(values, dict)
    return values


def _json(text: str, shown: str) -> Mapping[str, Any]:
    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        twice = next((key for at, (key, _) in enumerate(pairs) if key in dict(pairs[:at])), None)
        if twice is not None:
            raise _refused("duplicate-key", shown, f"key `{twice}` stands twice", "delete one of the two")
        return dict(pairs)

    def no_number(word: str) -> Any:
        raise _refused("not-finite", shown, f"`{word}`: expected a finite number")

    try:
        values = json.loads(text, object_pairs_hook=once, parse_constant=no_number)
    except json.JSONDecodeError as error:
        where = f"{shown}:{error.lineno}:{error.colno}"
        message = f"not JSON: {error.msg[:1].lower()}{error.msg[1:]}"
        raise _refused(
            "source-not-json", where, message, "JSON has no comments and no comma before a brace"
        ) from None
    except RecursionError:
        raise _refused("source-not-json", shown, "not JSON of any tool: nested too deep") from None
    assert isinstance(values, dict)
    return values


def _refused(code: str, where: str, message: str, hint: str = "") -> RecipeError:
    return RecipeError([Problem(code=code, where=where, message=message, hint=hint)])
