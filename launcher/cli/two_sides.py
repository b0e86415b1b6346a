"""What a person names on either side of a difference: a file, REV:path, or a lock."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from launcher.spec.lock import LOCK_SUFFIX
from launcher.spec.shell import quote

if TYPE_CHECKING:
    from launcher.discovery.revisions import Revision
    from launcher.planning.comparing.sides import Side

__all__ = ["Place", "find_place", "lock_and_now", "side_of"]


class Place(NamedTuple):
    """Where one side can be read."""

    name: str
    """As the person named it, for messages."""
    path: str
    """Where it lies on this machine, in a folder of its own where it is of a revision."""
    names: dict[str, str]
    """Paths of that folder, and how messages call them."""
    cluster: str | None = None
    """Machines in place of the recipe's own."""

    @property
    def is_lock(self) -> bool:
        return self.path.endswith(LOCK_SUFFIX)

    @property
    def is_file(self) -> bool:
        """Whether what was measured beside it may count."""
        return not self.names and not self.is_lock


def find_place(text: str, *, into: str, environ: Mapping[str, str]) -> Place:
    """The place of what somebody typed; a file goes before a revision. Raises RecipeError.

    into: an empty folder, for what is of a revision.
    """
    from launcher.discovery.revisions import open_revision, split_revision

    parts = None if os.path.lexists(text) else split_revision(text)
    if parts is None:
        return Place(text, text, {})
    name, path = parts
    here = str(Path.cwd())
    revision = open_revision(name, directory=here, environ=environ)
    found = revision.find(path, directory=here) if path else None
    if found is None:
        raise _missing(revision, path)
    return put(revision, found, into=into)


def put(revision: Revision, path: str, *, into: str) -> Place:
    """A tracked file with all that it needs, in a folder; path: from the top of the repository."""
    placed = revision.put(path, into=into)
    return Place(f"{revision.name}:{path}", placed, {f"{into}{os.sep}": f"{revision.name}:"})


def lock_and_now(text: str, *, into: str, environ: Mapping[str, str]) -> tuple[Place, Place]:
    """The two sides of a single name: a recipe's lock, a lock or a revision, against what the recipe comes to now."""
    from launcher.cli.locking import lock_path
    from launcher.errors import Problem, RecipeError
    from launcher.loading.locks import LockError, read_lock

    place = find_place(text, into=into, environ=environ)
    here = _from_top(os.path.relpath(place.path, into), environ) if place.names else text
    if place.is_lock:
        try:
            lock = read_lock(place.path)
        except LockError as error:
            raise RecipeError(
                [Problem(code=error.code, where=place.name, message=str(error), hint=error.hint)]
            ) from None
        recipe = str(Path(here).parent / lock.recipe)
        return place, Place(recipe, recipe, {}, lock.cluster)
    if place.names:
        return place, Place(here, here, {})
    if not Path(text).name:
        return place, place  # refused where it is read
    path = lock_path(text)
    if os.path.lexists(text) and not os.path.lexists(path):
        problem = Problem(
            code="not-locked",
            where=text,
            message=f"there is no {path}: nothing to compare with",
            hint=_instead(text),
        )
        raise RecipeError([problem])
    return (Place(path, path, {}) if os.path.lexists(path) else place), place


def side_of(place: Place, *, overrides: Sequence[str], environ: Mapping[str, str], measured: bool) -> Side:
    """All that is known of a side. Raises LauncherError, with places as the person knows them."""
    import json

    from launcher.api import load_recipe, plan
    from launcher.cli.locking import renamed
    from launcher.errors import LauncherError, Problem, RecipeError
    from launcher.loading.locks import LockError, read_lock
    from launcher.planning.comparing.sides import side_of_lock, side_of_plan

    if place.is_lock:
        try:
            return side_of_lock(read_lock(place.path), name=place.name)
        except LockError as error:
            problem = Problem(code=error.code, where=place.name, message=str(error), hint=error.hint)
            raise RecipeError([problem]) from None
    words = list(overrides) if place.cluster is None else [f"cluster={json.dumps(place.cluster)}", *overrides]
    try:
        recipe = load_recipe(place.path, overrides=words)
        result = plan(recipe, environ=environ, measured=measured, traced=measured)
    except LauncherError as error:
        raise type(error)(renamed(error.problems, place.names)) from None
    side = side_of_plan(result, recipe=recipe, name=place.name)
    from dataclasses import replace

    return replace(side, problems=renamed(side.problems or (), place.names))


def _instead(recipe: str) -> str:
    """What can be compared, where a recipe has no lock of its own."""
    from launcher.cli.locking import lock_paths

    others = lock_paths(recipe)
    if others:
        return f"batchwright diff {quote(others[0])}"
    return f"batchwright lock {quote(recipe)}, or name a second side"


def _from_top(path: str, environ: Mapping[str, str]) -> str:
    """A path from the top of the repository, from here."""
    from launcher.discovery.revisions import open_revision

    top = open_revision("HEAD", directory=str(Path.cwd()), environ=environ).top
    return path if top is None else os.path.relpath(Path(top, path))


def _missing(revision: Revision, path: str) -> Exception:
    from launcher.errors import Problem, RecipeError

    if path and revision.below(os.path.normpath(path)):
        message, hint = "this is a folder", "name a file in it"
    else:
        message = "the revision has no such file"
        hint = f"`git ls-tree -r --name-only {revision.name}` lists what there is"
    return RecipeError(
        [Problem(code="not-in-revision", where=f"{revision.name}:{path}", message=message, hint=hint)]
    )
