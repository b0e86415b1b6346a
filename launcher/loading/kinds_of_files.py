"""What a YAML file is, told by where it lies and which keys begin its lines: also where it is too broken to parse."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Literal

__all__ = ["Kind", "kind_in_folder", "kind_of_named"]

Kind = Literal["recipe", "cluster", "catalog"]


def _keys(names: str) -> re.Pattern[str]:
    """One of these keys at the left margin, or in the flow style that JSON is written in."""
    return re.compile(rf"""(?:^|[{{,]\s*)["']?(?:{names})["']?[ \t]*:(?=\s|$)""", re.MULTILINE)


_VERSION = re.compile(
    r"""(?:^|[{,]\s*)["']?schema["']?[ \t]*:[ \t]+[0-9]+[ \t]*(?:[,}\r#]|$)""", re.MULTILINE
)
_SCHEMA = _keys("schema")
_SECTION = _keys("model|data|optimizer|schedule|stages|precision|parallel|cluster|launch")
_BATCH = _keys("global_batch_(?:size|tokens)")
_WIDTH = _keys("hidden_size")
_LENGTH = _keys("sequence_length")
_MACHINES = _keys("nodes|devices_per_node|devices?|groups|hostfile")
_ROWS = _keys("devices|models")
_NOT_A_KEY = ("#", "---", "%", "- ")


def kind_in_folder(path: str, text: str) -> Kind | None:
    """What a file of a folder is; None where it is nothing of ours.

    A recipe has a global batch, or width and length, or `schema:` with a number or beside a section of a recipe;
    `hidden_size` alone is how others write a model. Cluster files lie in a folder `clusters`, rows in a `catalog`.
    """
    folder = Path(path).absolute().parent.name
    is_rows = folder == "catalog" and Path(path).name in {"devices.yaml", "models.yaml"}
    if is_rows and _ROWS.search(_margin(text)):
        return "catalog"  # which has a schema, too
    if _is_recipe(text):
        return "recipe"
    return "cluster" if folder == "clusters" and _MACHINES.search(_margin(text)) else None


def kind_of_named(path: str, text: str) -> Kind:
    """What a file is that somebody names: a recipe where nothing speaks for another kind."""
    kind = kind_in_folder(path, text)
    if kind is not None:
        return kind
    folder = Path(path).absolute().parent.name
    if folder in {"clusters", "catalog"}:
        return "cluster" if folder == "clusters" else "catalog"
    margin = _margin(text)
    return "cluster" if _MACHINES.search(margin) and not _SECTION.search(margin) else "recipe"


def _is_recipe(text: str) -> bool:
    margin = _margin(text)
    if _BATCH.search(margin) or _VERSION.search(margin):
        return True
    if _SCHEMA.search(margin) and _SECTION.search(margin):
        return True
    return bool(_WIDTH.search(margin) and _LENGTH.search(margin))


def _margin(text: str) -> str:
    """The lines of a text that are as far to the left as its first one; all of it where it is in flow style."""
    lines = [line for line in text.splitlines() if line.strip() and not line.lstrip().startswith(_NOT_A_KEY)]
    if not lines or lines[0].lstrip().startswith("{"):
        return "\n".join(lines)
    indent = len(lines[0]) - len(lines[0].lstrip())
    return "\n".join(line.strip() for line in lines if len(line) - len(line.lstrip()) == indent)
