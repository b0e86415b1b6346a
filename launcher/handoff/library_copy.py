"""A recipe of the library, with all that it needs, as files of somebody's own; nothing is ever overwritten."""

from __future__ import annotations

import os
import shlex
from pathlib import Path

from launcher.errors import HandoffError, Problem
from launcher.loading.library import CLUSTERS, library_file, library_folder
from launcher.spec.lock import LOCK_SUFFIX
from launcher.spec.recipe import Recipe

__all__ = ["copy_recipe", "needed_files"]

_NOT_NEEDED = {".yaml", ".yml", ".md", ".pyc"}


def needed_files(recipe: Recipe) -> tuple[Path, ...]:
    """What lies beside a recipe of the library and is read with it: scripts, modules, data; not other recipes.

    Empty where nothing that the recipe names is there: `train.py` is then the reader's own.
    """
    folder = Path(recipe.directory)
    model, launch = recipe.model, recipe.launch
    module = f"{model.module.partition(':')[0].replace('.', '/')}.py" if model.module else None
    named = [launch.script, launch.template, model.config, module]
    if not any(name and (folder / name).is_file() for name in named):
        return ()
    return tuple(
        path
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.suffix not in _NOT_NEEDED and not _is_ours(path.relative_to(folder))
    )


def copy_recipe(*, name: str, recipe: Recipe, folder: Path) -> tuple[Path, ...]:
    """Copies a recipe of the library, what lies beside it and the clusters it names; the recipe's new path first.

    recipe: the one of that name, loaded by its absolute path. The command in the head of the copy names the copy.
    Raises HandoffError[would-overwrite, folder-not-writable] before anything is written.
    """
    source = library_file(name)
    new = folder / source.name
    copies = {
        new: source.read_text("utf-8").replace(f"recipes/{name}.yaml", shlex.quote(new.as_posix())).encode()
    }
    copies |= {
        folder / path.relative_to(recipe.directory): path.read_bytes() for path in needed_files(recipe)
    }
    copies |= {folder / CLUSTERS / path.name: path.read_bytes() for path in _clusters(recipe)}
    kept = {path for path, data in copies.items() if path != new and _holds(path, data)}
    _refuse([path for path in copies if path not in kept and os.path.lexists(path)])
    try:
        for path, data in copies.items():
            if path not in kept:
                path.parent.mkdir(parents=True, exist_ok=True)
                with path.open("xb") as file:
                    file.write(data)
    except OSError as error:
        message = f"`{error.filename or folder}` cannot be written: {(error.strerror or str(error)).lower()}"
        raise HandoffError(
            [Problem(code="folder-not-writable", message=message, hint="name another folder with -o")]
        ) from None
    return tuple(copies)


def _clusters(recipe: Recipe) -> tuple[Path, ...]:
    """Files of the library that the recipe and its stages take their clusters from."""
    files = {Path(mark.file) for mark in recipe.marks.values() if mark.origin == "cluster" and mark.file}
    return tuple(sorted(file for file in files if file.is_relative_to(library_folder())))


def _is_ours(path: Path) -> bool:
    """Traces, byte code and locks: made anew where they are wanted."""
    return (
        any(part.startswith((".", "__pycache__")) for part in path.parts)
        or path.parts[0] == "runs"
        or path.name.endswith(LOCK_SUFFIX)
    )


def _holds(path: Path, data: bytes) -> bool:
    """Whether a file is there already, letter by letter: two recipes may share a script and a cluster."""
    try:
        return path.is_file() and path.read_bytes() == data
    except OSError:
        return False


def _refuse(taken: list[Path]) -> None:
    if taken:
        raise HandoffError(
            Problem(
                code="would-overwrite",
                message=f"`{path}` is there already",
                hint="name another folder with -o",
            )
            for path in taken
        )
