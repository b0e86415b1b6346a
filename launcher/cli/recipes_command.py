"""`batchwright recipes`: the library that comes with the package, and copies of it."""

from __future__ import annotations

import argparse
import shlex
from typing import TYPE_CHECKING

from launcher.cli.surroundings import Surroundings

if TYPE_CHECKING:
    from launcher.reporting.library_table import LibraryRow

__all__ = ["DESCRIPTION", "EXAMPLE", "SUMMARY", "add_arguments", "run"]

SUMMARY = "list the library of recipes, show one, copy one"
DESCRIPTION = """\
Without words: every recipe of the library, as a table. With words: those whose name, title, model or machine holds all
of them. With a whole name: what its header says, and where the file lies. `copy NAME` copies a recipe, its script and
the cluster it names into a folder; nothing is overwritten. `clusters` lists what `cluster: NAME` may name."""
EXAMPLE = """\
examples:
  batchwright recipes
  batchwright recipes decoder h100
  batchwright recipes quickstart/cpu-1x2
  batchwright recipes copy quickstart/cpu-1x2 -o build/mine
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of `recipes`."""
    parser.add_argument("words", metavar="WORD", nargs="*", help="a name, words to look for, or `copy NAME`")
    parser.add_argument(
        "-o", "--output", metavar="FOLDER", help="folder to copy to; the recipe's own folder name when absent"
    )
    parser.add_argument("--json", action="store_true", help="one JSON object")


def run(arguments: argparse.Namespace, around: Surroundings) -> int:
    """Lists, shows or copies."""
    from launcher.loading.library import recipe_names

    words: list[str] = arguments.words
    if words[:1] == ["copy"]:
        return _copy(words[1:], arguments, around)
    if arguments.output is not None:
        around.tell("batchwright recipes: error: -o goes with `copy NAME`")
        return 2
    if words[:1] == ["clusters"]:
        return _clusters(words[1:], arguments, around)
    names = recipe_names()
    if len(words) == 1 and _plain(words[0]) in names:
        return _show(_plain(words[0]), arguments, around)
    return _list(words, names, arguments, around)


def _list(
    words: list[str], names: tuple[str, ...], arguments: argparse.Namespace, around: Surroundings
) -> int:
    from launcher.cli.library import header_of, rows_of
    from launcher.reporting.library_table import library_lines

    # a word of the name or title needs no plan; only where nothing is found there is every recipe planned
    rows = rows_of([name for name in names if _all_in(words, f"{name} {header_of(name).title}")])
    rows = rows or [row for row in rows_of(names) if _all_in(words, " ".join(row))]
    if not rows:
        raise _unknown(" ".join(words), names)
    if arguments.json:
        import json

        around.say(json.dumps({"recipes": [_facts(row) for row in rows]}, indent=1))
        return 0
    copied = rows[0].name if len(rows) < len(names) else "NAME"
    lines = [*library_lines(rows), "", f"{len(rows)} of {len(names)} recipes"]
    lines += [f"next    batchwright recipes {copied}", f"        batchwright recipes copy {copied}"]
    around.say("\n".join(lines))
    return 0


def _facts(row: LibraryRow) -> dict[str, str]:
    from launcher.loading.library import library_file

    return {**row._asdict(), "file": str(library_file(row.name))}


def _show(name: str, arguments: argparse.Namespace, around: Surroundings) -> int:
    from launcher.api import load_recipe
    from launcher.cli.library import header_of, rows_of
    from launcher.handoff.library_copy import needed_files
    from launcher.loading.library import library_file
    from launcher.reporting.columns import labelled

    path, header, (row,) = library_file(name), header_of(name), rows_of([name])
    beside = [str(file.relative_to(path.parent)) for file in needed_files(load_recipe(path))]
    if arguments.json:
        import json

        more = {"arithmetic": list(header.arithmetic), "source": header.source, "beside": beside}
        around.say(json.dumps({**_facts(row), **more}, indent=1))
        return 0
    lines = [
        header.title,
        "",
        *labelled("model", [f"{row.model}, {row.parameters} parameters, {row.per_step} per step"]),
        *labelled("machine", [f"{row.machine}, {row.engines}"]),
        *labelled("numbers", list(header.arithmetic)),
        *labelled("source", [header.source] if header.source else []),
        *labelled("checked", [row.verified]),
        *labelled("file", [str(path)]),
        *labelled("beside", [", ".join(beside)] if beside else []),
        *labelled("next", [f"batchwright recipes copy {name}"]),
    ]
    around.say("\n".join(lines))
    return 0


def _clusters(words: list[str], arguments: argparse.Namespace, around: Surroundings) -> int:
    from launcher.cli.library import cluster_rows
    from launcher.reporting.columns import table

    rows = [row for row in cluster_rows() if _all_in(words, " ".join(row))]
    if not rows:
        from launcher.loading.library import cluster_names

        raise _unknown(" ".join(words), cluster_names())
    if arguments.json:
        import json

        named = [{"name": name, "machine": machine, "title": title} for name, machine, title in rows]
        around.say(json.dumps({"clusters": named}, indent=1))
    else:
        around.say("\n".join(table(("name", "machine", "what it is"), rows)))
    return 0


def _copy(words: list[str], arguments: argparse.Namespace, around: Surroundings) -> int:
    from pathlib import Path

    from launcher.api import load_recipe
    from launcher.handoff.library_copy import copy_recipe
    from launcher.loading.library import library_file, recipe_names

    if len(words) != 1:
        around.tell("batchwright recipes: error: expected one name, `batchwright recipes copy NAME`")
        return 2
    name = _plain(words[0])
    if name not in recipe_names():
        raise _unknown(name, recipe_names())
    folder = Path(arguments.output or name.rpartition("/")[0])
    copied = copy_recipe(name=name, recipe=load_recipe(library_file(name)), folder=folder)
    if arguments.json:
        import json

        around.say(json.dumps({"name": name, "files": [str(path) for path in copied]}, indent=1))
    else:
        around.say("\n".join(str(path) for path in copied))
        around.tell(f"next    batchwright plan {shlex.quote(str(copied[0]))}")
    return 0


def _unknown(word: str, names: tuple[str, ...]) -> Exception:
    from launcher.errors import LauncherError, Problem
    from launcher.loading.near import near_miss

    last = {name.rpartition("/")[2]: name for name in names} | {
        name.partition("/")[0]: name for name in names
    }
    near = near_miss(word, names) or last.get(near_miss(word, last), "")
    hint = f"did you mean `{near}`?" if near else "`batchwright recipes` lists all"
    message = f"`{word}`: no recipe of the library is called so"
    return LauncherError([Problem(code="unknown-recipe", message=message, hint=hint)])


def _plain(name: str) -> str:
    """The name of a recipe that somebody may have completed as a path."""
    return name.removeprefix("recipes/").removesuffix(".yaml")


def _all_in(words: list[str], text: str) -> bool:
    return all(word.lower() in text.lower() for word in words)
